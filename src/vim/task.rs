//! Tasks: methods that go on after their call has returned.

use super::{Client, Element, Ref, VimError, Xml};
use crate::sys::Cancel;

/// How a task is waited for.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    /// Stops the task.
    pub cancel: &'a Cancel,
    /// Is told how far it is, in percent.
    pub progress: &'a (dyn Fn(u8) + Send + Sync),
}

impl<'a> Waiting<'a> {
    /// Tells nobody how far it is.
    #[must_use]
    pub fn quiet(cancel: &'a Cancel) -> Self {
        Self {
            cancel,
            progress: &|_| {},
        }
    }
}

impl Client {
    /// Calls a method that starts a task, such as `ReconfigVM_Task`, and waits for its end. Gives the task's result, an
    /// empty element if it has none. When cancelled, the task is cancelled and its end awaited for a while; a result that
    /// comes nevertheless is given, so that what it made can be removed.
    pub async fn task(
        &self,
        _this: &Ref,
        _method: &str,
        _body: impl FnOnce(&mut Xml),
        _waiting: &Waiting<'_>,
    ) -> Result<Element, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
