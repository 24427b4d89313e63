//! Plays keys at a keyboard and watches the screen: nothing is sent before what came earlier has been taken.
//!
//! Where the screen is text, characters go in small groups and each group is read back; what was lost is rubbed out and
//! typed again, slower, so that a line is proved before `<enter>` is sent. After a special key the screen is given time to
//! change, as boot loaders drop what comes in while they redraw. A guest that echoes nothing (a password, a menu that
//! takes single keys, a graphics mode) gets its keys at a safe pace.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::echo::{self, Echo};
use super::screen::Cells;
use crate::model::{Key, KeyAction, Keys, Layout};
use crate::provider::keyboard::{self, Stroke};
use crate::provider::{ProviderError, Typing};

/// A key going down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyEvent {
    pub(super) qcode: &'static str,
    pub(super) down: bool,
}

/// A screen and a keyboard.
#[async_trait]
pub(super) trait Console: Send {
    /// The text screen with a fingerprint that also counts colours; `None` in a graphics mode.
    async fn cells(&mut self) -> Result<Option<(Cells, u64)>, ProviderError>;
    /// Sends these at once.
    async fn send(&mut self, events: &[KeyEvent]) -> Result<(), ProviderError>;
    /// Lets time pass; the one wait that nothing on the screen can end.
    async fn pause(&mut self, time: Duration) -> Result<(), ProviderError>;
}

/// How fast keys go, and how long the screen may take to follow.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between keys that are read back.
    watched: Duration,
    /// Between keys that are not.
    blind: Duration,
    /// Between looks at the screen.
    look: Duration,
    /// Until a group must be seen.
    echo: Duration,
    /// Until a special key must have had an effect; those without one exist.
    effect: Duration,
    /// Without change, the screen counts as drawn.
    still: Duration,
}

const PACE: Pace = Pace {
    watched: Duration::from_millis(5),
    blind: Duration::from_millis(20),
    look: Duration::from_millis(4),
    echo: Duration::from_millis(1_000),
    effect: Duration::from_millis(700),
    still: Duration::from_millis(30),
};

/// Characters between two looks. The keyboard controller's queue holds 16 bytes, a key takes 3 (6 with Shift).
const GROUP: usize = 5;
/// How often a group is typed again before the guest's own ways are blamed.
const ATTEMPTS: u32 = 8;

/// Types `keys`; characters that the layout lacks are told before anything is typed.
pub(super) async fn play(
    console: &mut dyn Console,
    keys: &Keys,
    typing: &Typing,
) -> Result<(), ProviderError> {
    let mut pace = PACE;
    if let Some(interval) = typing.interval {
        pace.watched = interval.std();
        pace.blind = interval.std();
    }
    play_at(console, keys, typing.layout, pace).await
}

async fn play_at(
    console: &mut dyn Console,
    keys: &Keys,
    layout: Layout,
    pace: Pace,
) -> Result<(), ProviderError> {
    for action in &keys.0 {
        if let KeyAction::Press(key) | KeyAction::Down(key) | KeyAction::Up(key) = action {
            strokes(*key, layout)?;
        }
    }
    let mut player = Player {
        console,
        layout,
        pace,
        held: 0,
        line: None,
        no_effect: false,
    };
    let mut rest = keys.0.as_slice();
    while !rest.is_empty() {
        rest = player.step(rest).await?;
    }
    Ok(())
}

fn strokes(key: Key, layout: Layout) -> Result<Vec<Stroke>, ProviderError> {
    if let Key::Char(character) = key {
        return keyboard::strokes(character, layout)
            .map_err(|e| ProviderError::Failed(e.to_string()));
    }
    let qcode = keyboard::special(key)
        .ok_or_else(|| ProviderError::Failed(format!("the keyboard has no key `{key}`")))?;
    Ok(vec![Stroke {
        qcode,
        modifier: None,
    }])
}

struct Player<'a> {
    console: &'a mut dyn Console,
    layout: Layout,
    pace: Pace,
    /// How many keys are held down.
    held: usize,
    /// The line being typed.
    line: Option<Line>,
    /// The last special key changed nothing on the screen.
    no_effect: bool,
}

/// A line since the last special key.
struct Line {
    before: Vec<char>,
    proved: Vec<char>,
    /// Whether the guest shows what is typed.
    echoes: bool,
}

impl Player<'_> {
    /// Does what stands first in `actions` and returns the rest.
    async fn step<'k>(
        &mut self,
        actions: &'k [KeyAction],
    ) -> Result<&'k [KeyAction], ProviderError> {
        let text: Vec<char> = actions
            .iter()
            .map_while(|action| match action {
                KeyAction::Press(Key::Char(c)) if self.held == 0 => Some(*c),
                _ => None,
            })
            .collect();
        if !text.is_empty() {
            self.literal(&text).await?;
            return Ok(&actions[text.len()..]);
        }
        let Some((action, rest)) = actions.split_first() else {
            return Ok(actions);
        };
        match action {
            KeyAction::Wait(time) => {
                self.console.pause(time.std()).await?;
                self.line = None;
            }
            KeyAction::Press(key) => {
                let watched = match rest.first() {
                    Some(KeyAction::Wait(_)) | None => None,
                    Some(_) => self.console.cells().await?,
                };
                for stroke in strokes(*key, self.layout)? {
                    self.stroke(stroke).await?;
                }
                self.line = None;
                self.settle(watched.map(|(_, fingerprint)| fingerprint))
                    .await?;
            }
            KeyAction::Down(key) | KeyAction::Up(key) => {
                let down = matches!(action, KeyAction::Down(_));
                self.held = if down {
                    self.held + 1
                } else {
                    self.held.saturating_sub(1)
                };
                self.hold(*key, down).await?;
                self.line = None;
            }
        }
        Ok(rest)
    }

    async fn stroke(&mut self, stroke: Stroke) -> Result<(), ProviderError> {
        let modifier = stroke.modifier.map(keyboard::Modifier::qcode);
        let keys: Vec<_> = modifier.into_iter().chain([stroke.qcode]).collect();
        let down = keys.iter().map(|qcode| KeyEvent { qcode, down: true });
        let up = keys
            .iter()
            .rev()
            .map(|qcode| KeyEvent { qcode, down: false });
        let events: Vec<_> = down.chain(up).collect();
        self.console.send(&events).await
    }

    /// A key that stays down goes with its modifier; a dead key cannot be held, so its first stroke is.
    async fn hold(&mut self, key: Key, down: bool) -> Result<(), ProviderError> {
        let Some(stroke) = strokes(key, self.layout)?.first().copied() else {
            return Ok(());
        };
        let modifier = stroke.modifier.map(keyboard::Modifier::qcode);
        let mut events: Vec<_> = modifier
            .into_iter()
            .chain([stroke.qcode])
            .map(|qcode| KeyEvent { qcode, down })
            .collect();
        if !down {
            events.reverse();
        }
        self.console.send(&events).await?;
        self.console.pause(self.pace.blind).await
    }

    /// Waits until a special key has had its effect and the screen is drawn.
    async fn settle(&mut self, before: Option<u64>) -> Result<(), ProviderError> {
        let Some(before) = before else {
            return self.console.pause(self.pace.blind).await;
        };
        // a menu at its end does not move at all: that is learnt once
        let patience = if self.no_effect {
            self.pace.blind
        } else {
            self.pace.effect
        };
        let deadline = Instant::now() + patience;
        let mut last = before;
        let mut since = None;
        loop {
            self.console.pause(self.pace.look).await?;
            let Some((_, fingerprint)) = self.console.cells().await? else {
                return self.console.pause(self.pace.blind).await;
            };
            if fingerprint != last {
                last = fingerprint;
                since = Some(Instant::now());
            }
            self.no_effect = since.is_none();
            let drawn = since.is_some_and(|since| since.elapsed() >= self.pace.still);
            if drawn || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }

    async fn literal(&mut self, text: &[char]) -> Result<(), ProviderError> {
        let mut rest = text;
        if self.line.is_none() {
            self.line = self.console.cells().await?.map(|(cells, _)| Line {
                before: cells.0,
                proved: Vec::new(),
                echoes: true,
            });
        }
        while !rest.is_empty() {
            let group;
            (group, rest) = rest.split_at(group_len(rest));
            if self.line.as_ref().is_some_and(|line| line.echoes) {
                self.watched(group).await?;
            } else {
                self.blind(group, self.pace.blind).await?;
            }
        }
        Ok(())
    }

    async fn blind(&mut self, group: &[char], pace: Duration) -> Result<(), ProviderError> {
        for c in group {
            for stroke in strokes(Key::Char(*c), self.layout)? {
                self.stroke(stroke).await?;
                self.console.pause(pace).await?;
            }
        }
        Ok(())
    }

    /// Types a group until it has been seen whole.
    async fn watched(&mut self, group: &[char]) -> Result<(), ProviderError> {
        for attempt in 0..ATTEMPTS {
            self.blind(group, self.pace.watched * 4u32.pow(attempt.min(3)))
                .await?;
            match self.look(group).await? {
                Some(Echo::Whole) => {
                    if let Some(line) = &mut self.line {
                        line.proved.extend_from_slice(group);
                    }
                    return Ok(());
                }
                Some(Echo::Broken { from }) => self.rub_out(from).await?,
                Some(Echo::Nothing) | None => break,
            }
        }
        if let Some(line) = &mut self.line {
            line.echoes = false;
        }
        Ok(())
    }

    /// Rubs out what stands from the cell `from` on, until it is seen to be gone.
    async fn rub_out(&mut self, from: usize) -> Result<(), ProviderError> {
        for _ in 0..ATTEMPTS {
            let left = self.left(from).await?;
            if left == 0 {
                return Ok(());
            }
            for _ in 0..left {
                self.stroke(Stroke {
                    qcode: "backspace",
                    modifier: None,
                })
                .await?;
                self.console.pause(self.pace.blind).await?;
            }
            let start = Instant::now();
            while self.left(from).await? > 0 && start.elapsed() < self.pace.echo {
                self.console.pause(self.pace.look).await?;
            }
        }
        Ok(())
    }

    /// How many characters stand from the cell `from` on.
    async fn left(&mut self, from: usize) -> Result<usize, ProviderError> {
        let cells = self.console.cells().await?;
        Ok(match (cells, &self.line) {
            (Some((cells, _)), Some(line)) => echo::extent(&line.before, &cells.0, from),
            _ => 0,
        })
    }

    /// Watches until `group` is there; else what is there in the end. `None`: no text screen any more.
    async fn look(&mut self, group: &[char]) -> Result<Option<Echo>, ProviderError> {
        let start = Instant::now();
        let mut verdict;
        let mut last = (0, Instant::now());
        loop {
            let Some((cells, fingerprint)) = self.console.cells().await? else {
                return Ok(None);
            };
            let Some(line) = &self.line else {
                return Ok(None);
            };
            verdict = echo::judge(&line.before, &cells.0, &line.proved, group);
            if verdict == Echo::Whole {
                return Ok(Some(verdict));
            }
            if fingerprint != last.0 {
                last = (fingerprint, Instant::now());
            }
            // a screen that moves is still being written to, but not for ever
            let quiet = last.1.elapsed() >= self.pace.echo;
            if quiet || start.elapsed() >= 4 * self.pace.echo {
                return Ok(Some(verdict));
            }
            self.console.pause(self.pace.look).await?;
        }
    }
}

/// Groups end in a visible character where they can, as a blank at the end cannot be seen.
fn group_len(rest: &[char]) -> usize {
    let len = rest.len().min(GROUP);
    let blanks = rest[len - 1..].iter().take_while(|c| **c == ' ').count();
    match blanks {
        0 => len,
        _ => (len + blanks).min(rest.len()),
    }
}

#[cfg(test)]
mod tests;
