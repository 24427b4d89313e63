//! Logging in: key file, agent, password, in this order.

use std::path::Path;

use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt};

use super::connection::{Connection, Limits, Stop, code};
use super::{GuestError, SshTarget};

/// Why a login did not come about.
pub(super) enum AuthFault {
    /// The server answers and refuses; the text says what was tried.
    Refused(String),
    /// It makes no sense to try again.
    Fatal(GuestError),
    /// The connection ended, or time is up.
    Stop(Stop),
}

impl From<Stop> for AuthFault {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Logs in, or says why not.
pub(super) async fn login(
    connection: &mut Connection,
    target: &SshTarget,
    limits: Limits<'_>,
) -> Result<(), AuthFault> {
    let user = &target.user;
    let asked = connection
        .drive(limits, |s| s.auth_methods(user).map(str::to_owned))
        .await;
    let offered = match asked {
        Ok(offered) => offered,
        Err(_) if connection.session().authenticated() => return Ok(()),
        Err(stop) => return Err(stop.into()),
    };
    let mut login = Login {
        connection,
        user,
        limits,
        offered: offered.split(',').collect(),
        tried: Vec::new(),
    };
    if login.with_all(target).await? {
        return Ok(());
    }
    let tried = match login.tried.as_slice() {
        [] => "nothing that it takes was given".to_owned(),
        tried => format!("{} not accepted", tried.join(", ")),
    };
    Err(AuthFault::Refused(format!(
        "{tried}; it takes {}",
        offered.replace(',', ", ")
    )))
}

/// A login under way.
struct Login<'a> {
    connection: &'a mut Connection,
    user: &'a str,
    limits: Limits<'a>,
    offered: Vec<&'a str>,
    /// For the message, if nothing works.
    tried: Vec<String>,
}

impl Login<'_> {
    fn offers(&self, method: &str) -> bool {
        self.offered.contains(&method)
    }

    async fn with_all(&mut self, target: &SshTarget) -> Result<bool, AuthFault> {
        for path in &target.key_files {
            check_key(path).map_err(AuthFault::Fatal)?;
            if self.offers("publickey") && self.with_key(path).await? {
                return Ok(true);
            }
        }
        if target.agent && self.offers("publickey") && self.with_agent().await? {
            return Ok(true);
        }
        match &target.password {
            Some(password) => self.with_password(password.reveal()).await,
            None => Ok(false),
        }
    }

    async fn with_key(&mut self, path: &Path) -> Result<bool, AuthFault> {
        self.tried.push(format!("key {}", path.display()));
        let user = self.user;
        let login = self
            .connection
            .drive(self.limits, |s| {
                s.userauth_pubkey_file(user, None, path, None)
            })
            .await;
        match login {
            Err(Stop::Ssh(error)) if error.code() == ErrorCode::Session(code::FILE) => {
                Err(AuthFault::Fatal(GuestError::Key {
                    path: path.to_owned(),
                    reason: error.message().to_owned(),
                }))
            }
            login => accepted(login),
        }
    }

    async fn with_agent(&mut self) -> Result<bool, AuthFault> {
        let failed = |error: ssh2::Error| {
            AuthFault::Fatal(GuestError::Failed(format!(
                "the SSH agent (SSH_AUTH_SOCK) does not answer: {}",
                error.message()
            )))
        };
        let mut agent = self.connection.session().agent().map_err(failed)?;
        agent.connect().map_err(failed)?;
        agent.list_identities().map_err(failed)?;
        let identities = agent.identities().map_err(failed)?;
        self.tried
            .push(format!("the agent's {} keys", identities.len()));
        for identity in identities {
            let user = self.user;
            let login = self
                .connection
                .drive(self.limits, |_| agent.userauth(user, &identity))
                .await;
            if accepted(login)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn with_password(&mut self, password: &str) -> Result<bool, AuthFault> {
        let user = self.user;
        let login = if self.offers("password") {
            self.tried.push("password".to_owned());
            self.connection
                .drive(self.limits, |s| s.userauth_password(user, password))
                .await
        } else if self.offers("keyboard-interactive") {
            self.tried
                .push("password (keyboard-interactive)".to_owned());
            let mut answers = Answers(password);
            self.connection
                .drive(self.limits, |s| {
                    s.userauth_keyboard_interactive(user, &mut answers)
                })
                .await
        } else {
            return Ok(false);
        };
        accepted(login)
    }
}

/// Whether the server has let us in.
fn accepted(login: Result<(), Stop>) -> Result<bool, AuthFault> {
    match login {
        Ok(()) => Ok(true),
        Err(Stop::Ssh(error)) => match error.code() {
            ErrorCode::Session(code::AUTHENTICATION_FAILED | code::PUBLICKEY_UNVERIFIED) => {
                Ok(false)
            }
            _ => Err(Stop::Ssh(error).into()),
        },
        Err(stop) => Err(stop.into()),
    }
}

/// Answers every prompt with the password.
struct Answers<'a>(&'a str);

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        prompts.iter().map(|_| self.0.to_owned()).collect()
    }
}

/// Whether a file holds a private key that can be used as it is: without a passphrase.
#[must_use]
pub fn is_usable_key(path: &Path) -> bool {
    check_key(path).is_ok()
}

/// Whether the key's file can be read and needs no passphrase. libssh2 tells neither clearly.
pub(super) fn check_key(path: &Path) -> Result<(), GuestError> {
    let key = |reason: String| GuestError::Key {
        path: path.to_owned(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|e| key(e.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains("PRIVATE KEY") {
        return Err(key(if text.starts_with("ssh-") {
            "this is a public key; the private one is needed".to_owned()
        } else {
            "this is no private key".to_owned()
        }));
    }
    let body: String = text.lines().filter(|l| !l.starts_with('-')).collect();
    // an OpenSSH key starts with "openssh-key-v1\0" and the cipher's name; in base64 the names show as these
    let openssh = text.contains("OPENSSH PRIVATE KEY");
    let none = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA";
    if text.contains("ENCRYPTED") || (openssh && !body.starts_with(none)) {
        return Err(key("it is protected by a passphrase".to_owned()));
    }
    Ok(())
}
