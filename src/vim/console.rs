//! A machine's keyboard, its screen, and the questions it asks.

use super::{Client, Ref, VimError};

/// A key pressed and released; `UsbScanCodeSpecKeyEvent` in the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyEvent {
    /// The key's usage in the keyboard page of USB HID, such as 4 for A.
    pub usage: u16,
    /// The keys held meanwhile.
    pub modifiers: Modifiers,
}

/// Keys held while another is pressed; `UsbScanCodeSpecModifierType` in the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "eight keys")]
pub struct Modifiers {
    /// The left Control key.
    pub left_control: bool,
    /// The left Shift key.
    pub left_shift: bool,
    /// The left Alt key.
    pub left_alt: bool,
    /// The left Super key.
    pub left_gui: bool,
    /// The right Control key.
    pub right_control: bool,
    /// The right Shift key.
    pub right_shift: bool,
    /// The right Alt key.
    pub right_alt: bool,
    /// The right Super key.
    pub right_gui: bool,
}

/// A question that a machine asks before it goes on; `VirtualMachineQuestionInfo` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which question it is.
    pub id: String,
    /// What it asks.
    pub text: String,
    /// The answers it takes: key and label.
    pub choices: Vec<(String, String)>,
}

impl Client {
    /// Presses keys, one after the other; gives how many the server has taken. `VirtualMachine.PutUsbScanCodes`.
    pub async fn put_keys(&self, _vm: &Ref, _keys: &[KeyEvent]) -> Result<u32, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// What a running machine shows, as PNG.
    pub async fn screenshot(&self, _vm: &Ref) -> Result<Vec<u8>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// The question a machine asks at the moment.
    pub async fn question(&self, _vm: &Ref) -> Result<Option<Question>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Answers it with the key of a choice; `VirtualMachine.AnswerVM`.
    pub async fn answer(&self, _vm: &Ref, _question: &str, _choice: &str) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
