//! What stands in the line of a running stage.

use std::time::Duration;

use crate::model::StageKey;

use super::style::{Paint, Tone};
use super::words::{about, count, progress, whole, width};

/// A running stage.
pub(super) struct Live {
    pub(super) stage: StageKey,
    pub(super) started: Duration,
    pub(super) expected: Option<Duration>,
    pub(super) step: String,
    pub(super) progress: Option<(u64, Option<u64>)>,
}

impl Live {
    /// A stage that has just started.
    pub(super) const fn new(
        stage: StageKey,
        started: Duration,
        expected: Option<Duration>,
    ) -> Self {
        Self {
            stage,
            started,
            expected,
            step: String::new(),
            progress: None,
        }
    }
}

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME: Duration = Duration::from_millis(100);
/// A step is not cut shorter than this.
const MIN_STEP: usize = 12;

/// `⠹ provision[os=mini]  [2/5] scripts/install.sh  12MiB of 64MiB  41s of ~1m20s`, the step cut if it does not fit.
pub(super) fn line(
    live: &Live,
    now: Duration,
    columns: usize,
    colour: usize,
    paint: Paint,
) -> String {
    let elapsed = now.saturating_sub(live.started);
    let frame = (elapsed.as_millis() / FRAME.as_millis()) as usize % SPINNER.len();
    let head = format!(
        "{} {}",
        paint.tone(Tone::Active, &SPINNER[frame].to_string()),
        paint.tone(Tone::Stage(colour), &live.stage.to_string())
    );
    let mut tail = String::new();
    if let Some((done, total)) = live.progress {
        tail.push_str(&format!("  {}", progress(done, total)));
    }
    tail.push_str(&format!("  {}", whole(elapsed)));
    if let Some(expected) = live.expected {
        tail.push_str(&format!(" of {}", about(expected)));
    }
    let room = columns
        .saturating_sub(width(&head) + width(&tail) + 2)
        .max(MIN_STEP);
    let step = cut(&live.step, room);
    let gap = if step.is_empty() { "" } else { "  " };
    format!("{head}{gap}{step}{}", paint.tone(Tone::Dim, &tail))
}

/// `  3 of 6 stages done, 2 running, 1m02s`
pub(super) fn footer(
    (ended, running, total): (usize, usize, usize),
    (elapsed, expected): (Duration, Option<Duration>),
    paint: Paint,
) -> String {
    let left = expected.and_then(|expected| expected.checked_sub(elapsed));
    let left = left.filter(|left| *left >= Duration::from_secs(1));
    let text = format!(
        "  {ended} of {} done, {running} running, {}{}",
        count(total, "stage"),
        whole(elapsed),
        left.map_or_else(String::new, |left| format!(", {} left", about(left)))
    );
    paint.tone(Tone::Dim, &text)
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}
