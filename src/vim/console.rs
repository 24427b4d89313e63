//! A machine's keyboard, its screen, and the questions it asks.

use std::time::Duration;

use reqwest::Method;

use super::{Client, DatastorePath, Element, Fault, Ref, VimError, Waiting, Xml};
use crate::sys::Cancel;

/// How every PNG begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// How long a picture may take.
const SCREEN: Duration = Duration::from_secs(30);

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

impl Question {
    /// Reads a `VirtualMachineQuestionInfo`.
    pub(super) fn read(asked: &Element) -> Option<Self> {
        let choices = (asked.child("choice").into_iter())
            .flat_map(|choice| choice.children_named("choiceInfo"))
            .filter_map(|c| Some((c.text_of("key")?.to_owned(), c.text_of("label")?.to_owned())));
        Some(Self {
            id: asked.text_of("id")?.to_owned(),
            text: asked.text_of("text").unwrap_or_default().trim().to_owned(),
            choices: choices.collect(),
        })
    }

    /// It as the reason why something does not go on.
    pub(super) fn into_error(self, vm: &Ref) -> VimError {
        let choices: Vec<String> = (self.choices.iter())
            .map(|(key, label)| format!("{key} = {}", label.rsplit('.').next().unwrap_or(label)))
            .collect();
        let leaf = |name: &str, text: &str| Element {
            name: name.into(),
            text: text.into(),
            ..Element::default()
        };
        let infos = self.choices.iter().map(|(key, label)| Element {
            name: "choiceInfo".into(),
            children: vec![leaf("key", key), leaf("label", label)],
            ..Element::default()
        });
        let choice = Element {
            name: "choice".into(),
            children: infos.collect(),
            ..Element::default()
        };
        Fault {
            kind: QUESTION.into(),
            message: format!(
                "`{vm}` asks: {} ({})",
                words(&self.text),
                choices.join(", ")
            ),
            detail: Element {
                children: vec![leaf("id", &self.id), leaf("text", &self.text), choice],
                ..Element::default()
            },
        }
        .into()
    }
}

/// A question without its name: `msg.uuid.altered:This machine …`.
fn words(text: &str) -> String {
    let words = match text.split_once(':') {
        Some((name, words)) if name.starts_with("msg.") && !name.contains(' ') => words,
        _ => text,
    };
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The kind of the faults that are questions.
const QUESTION: &str = "Question";

impl VimError {
    /// The question that kept a machine from starting.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        match self {
            Self::Fault(fault) if fault.kind == QUESTION => Question::read(&fault.detail),
            _ => None,
        }
    }
}

impl KeyEvent {
    fn write(self, xml: &mut Xml) {
        /// What the API wants in the lower half of a code: the page of the keyboard.
        const PAGE: u32 = 7;
        let Modifiers {
            left_control,
            left_shift,
            left_alt,
            left_gui,
            right_control,
            right_shift,
            right_alt,
            right_gui,
        } = self.modifiers;
        xml.within("keyEvents", |xml| {
            xml.element("usbHidCode", u32::from(self.usage) << 16 | PAGE);
            if self.modifiers != Modifiers::default() {
                xml.within("modifiers", |xml| {
                    xml.element("leftControl", left_control)
                        .element("leftShift", left_shift)
                        .element("leftAlt", left_alt)
                        .element("leftGui", left_gui)
                        .element("rightControl", right_control)
                        .element("rightShift", right_shift)
                        .element("rightAlt", right_alt)
                        .element("rightGui", right_gui);
                });
            }
        });
    }
}

impl Client {
    /// Presses keys, one after the other; gives how many the server has taken. `VirtualMachine.PutUsbScanCodes`.
    pub async fn put_keys(&self, vm: &Ref, keys: &[KeyEvent]) -> Result<u32, VimError> {
        let response = self
            .call(vm, "PutUsbScanCodes", |xml| {
                xml.within("spec", |xml| keys.iter().for_each(|key| key.write(xml)));
            })
            .await?;
        let taken = response
            .u64_of("returnval")
            .and_then(|n| u32::try_from(n).ok());
        taken.ok_or_else(|| {
            VimError::Protocol("PutUsbScanCodes does not tell how many keys it has taken".into())
        })
    }

    /// What a running machine shows, as PNG: from the server's `/screen`, else by `VirtualMachine.CreateScreenshot_Task`.
    pub async fn screenshot(&self, vm: &Ref) -> Result<Vec<u8>, VimError> {
        match self.screen(vm).await {
            Ok(png) if png.starts_with(PNG) => return Ok(png),
            Err(
                error @ (VimError::Unreachable { .. }
                | VimError::Certificate { .. }
                | VimError::Login(_)),
            ) => {
                return Err(error);
            }
            _ => {}
        }
        let cancel = Cancel::new();
        let waiting = Waiting::quiet(&cancel);
        let result = self
            .task(vm, "CreateScreenshot_Task", |_| {}, &waiting)
            .await?;
        let file = DatastorePath::parse(&result.text).ok_or_else(|| {
            VimError::Protocol(format!("`{}` is no place of a screenshot", result.text))
        })?;
        let (datacenter, path) = self.datacenter_of(vm).await?;
        let png = self.download_bytes(&path, &file).await;
        // What stays behind goes with the machine.
        let _ = self.delete_file(&datacenter, &file, &waiting).await;
        match png? {
            png if png.starts_with(PNG) => Ok(png),
            _ => Err(VimError::Protocol("the screenshot is no PNG".into())),
        }
    }

    async fn screen(&self, vm: &Ref) -> Result<Vec<u8>, VimError> {
        let mut url = self.inner.wire.base.clone();
        url.set_path("/screen");
        url.query_pairs_mut().append_pair("id", &vm.id);
        let answer = self
            .fetch(Method::GET, url, |request| request.timeout(SCREEN))
            .await?;
        let bytes = answer
            .bytes()
            .await
            .map_err(|e| VimError::Protocol(e.without_url().to_string()))?;
        Ok(bytes.to_vec())
    }

    /// The question a machine asks at the moment.
    pub async fn question(&self, vm: &Ref) -> Result<Option<Question>, VimError> {
        let properties = self.read(vm, &["runtime.question"]).await?;
        Ok(properties.get("runtime.question").and_then(Question::read))
    }

    /// Answers it with the key of a choice; `VirtualMachine.AnswerVM`.
    pub async fn answer(&self, vm: &Ref, question: &str, choice: &str) -> Result<(), VimError> {
        let body = |xml: &mut Xml| {
            xml.element("questionId", question)
                .element("answerChoice", choice);
        };
        self.call(vm, "AnswerVM", body).await.map(drop)
    }
}
