//! Events on a terminal: a live line for every running stage, all else above it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike as _};

use crate::engine::{Event, Outcome, Sink};
use crate::model::StageKey;

use super::clean::clean;
use super::live::{Live, footer, line};
use super::plain::{cached, watched};
use super::screen::{Measure, Screen};
use super::style::{Paint, Tone};
use super::summary;
use super::words::{NAMED, about, count, exact, report};

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Stages and failures; no output of what runs.
    Quiet,
    /// All lines of output as well.
    #[default]
    Normal,
}

/// The live lines are not drawn more often than this for progress alone.
const FRAME: Duration = Duration::from_millis(50);

/// And at most so often in a second.
const FRAMES: u8 = 15;

/// Time since some start; never goes back.
pub type Monotonic = Box<dyn Fn() -> Duration + Send + Sync>;

/// What a [`Terminal`] is made of.
pub struct TerminalOptions {
    /// Where it draws.
    pub out: Box<dyn Write + Send>,
    /// How large that is.
    pub measure: Measure,
    /// Colours.
    pub paint: Paint,
    /// How much is told.
    pub verbosity: Verbosity,
    /// The time.
    pub clock: Monotonic,
    /// How often the live lines are drawn anew; none: only when something happens.
    pub tick: Option<Duration>,
}

/// Draws events on a terminal.
pub struct Terminal {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    clock: Monotonic,
    stop: Condvar,
}

struct State {
    screen: Screen,
    bars: MultiProgress,
    footer: ProgressBar,
    paint: Paint,
    verbosity: Verbosity,
    running: BTreeMap<StageKey, (Live, ProgressBar)>,
    colours: BTreeMap<StageKey, usize>,
    total: usize,
    /// How long it takes by what is known.
    expected: Option<Duration>,
    ended: usize,
    started: Duration,
    drawn: Duration,
    /// Lines that are still to be written above the live ones.
    pending: String,
    over: bool,
    /// Somebody else writes on the terminal.
    lent: bool,
}

impl Terminal {
    /// Draws where `options` says.
    #[must_use]
    pub fn new(options: TerminalOptions) -> Self {
        let TerminalOptions {
            out,
            measure,
            paint,
            verbosity,
            clock,
            tick,
        } = options;
        let screen = Screen::new(out, measure);
        let term = Box::new(screen.clone());
        let target = match tick {
            // several lines change in one frame: without a limit each would be drawn on its own
            Some(_) => ProgressDrawTarget::term_like_with_hz(term, FRAMES),
            None => ProgressDrawTarget::term_like(term),
        };
        let bars = MultiProgress::with_draw_target(target);
        let state = State {
            screen,
            bars,
            footer: ProgressBar::hidden(),
            paint,
            verbosity,
            running: BTreeMap::new(),
            colours: BTreeMap::new(),
            total: 0,
            expected: None,
            ended: 0,
            started: clock(),
            drawn: Duration::ZERO,
            pending: String::new(),
            over: false,
            lent: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            clock,
            stop: Condvar::new(),
        });
        let ticker = tick.map(|tick| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.draw_until_over(tick))
        });
        Self { shared, ticker }
    }
}

impl Terminal {
    /// Somebody else writes on the terminal from now on (true), or no longer; what happens meanwhile is shown afterwards.
    pub fn lend(&self, lent: bool) {
        let mut state = self.shared.lock();
        if lent {
            state.flush();
            let _ = state.bars.clear();
        }
        state.lent = lent;
        state.draw((self.shared.clock)());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // also when a run ends without its last event: the cursor must stand below what is drawn
        let mut state = self.shared.lock();
        state.end();
        state.flush();
        drop(state);
        self.shared.stop.notify_all();
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
    }
}

impl Sink for Terminal {
    fn event(&self, event: Event) {
        let now = (self.shared.clock)();
        let often = matches!(
            event,
            Event::Progress { .. }
                | Event::Step { .. }
                | Event::Log { .. }
                | Event::StageCached { .. }
        );
        let mut state = self.shared.lock();
        state.take(event, now);
        // the ticker draws what comes faster than anybody reads
        if !(often && self.ticker.is_some() && now.saturating_sub(state.drawn) < FRAME) {
            state.draw(now);
        }
        if state.over {
            self.shared.stop.notify_all();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw_until_over(&self, tick: Duration) {
        let mut state = self.lock();
        while !state.over {
            state = self
                .stop
                .wait_timeout(state, tick)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.draw((self.clock)());
        }
    }
}

impl State {
    fn take(&mut self, event: Event, now: Duration) {
        match event {
            Event::RunStarted {
                run: _,
                targets,
                total,
                expected,
            } => self.start(&targets, (total, expected), now),
            Event::StageCached {
                stage,
                early_cutoff,
            } => {
                self.ended += 1;
                if self.total <= NAMED {
                    let why = if early_cutoff { cached(true) } else { "" };
                    self.say(Tone::Dim, "cached", &stage, why);
                }
            }
            Event::StageStarted {
                stage,
                kind: _,
                reasons,
                expected,
                attempt,
            } => {
                let why = started(&reasons, expected, attempt);
                self.say(Tone::Active, "run", &stage, &why);
                let bar = self.new_bar();
                let live = Live::new(stage.clone(), now, expected);
                self.running.insert(stage, (live, bar));
            }
            Event::Step { stage, text } => {
                if let Some((live, _)) = self.running.get_mut(&stage) {
                    live.step = clean(text.lines().next().unwrap_or("")).into_owned();
                    live.progress = None;
                }
            }
            Event::Progress { stage, done, total } => {
                if let Some((live, _)) = self.running.get_mut(&stage) {
                    live.progress = Some((done, total));
                }
            }
            Event::Log { stage, line } => self.log(&stage, &line),
            Event::Request { stage, text, .. } => self.heard(&stage, &text),
            Event::Report { ref stage, .. } => self.heard(stage, &report(&event)),
            Event::Warning { stage, message } => self.warn(stage.as_ref(), &message),
            Event::StageFinished {
                stage,
                outcome,
                elapsed,
            } => self.finish(&stage, &outcome, elapsed),
            Event::Watching { .. } | Event::Changed { .. } => {
                let text = self.paint.tone(Tone::Dim, &watched(&event));
                self.above(&format!("{text}\n"));
            }
            Event::RunFinished(run) => {
                self.end();
                self.above(&format!("\n{}", summary::summary(&run, self.paint)));
            }
        }
    }

    fn start(
        &mut self,
        targets: &[String],
        (total, expected): (usize, Option<Duration>),
        now: Duration,
    ) {
        self.total = total;
        self.expected = expected;
        self.started = now;
        self.footer = self.new_bar();
        let what = format!("{}: {}", targets.join(", "), count(total, "stage"));
        let head = self.paint.tone(Tone::Bold, "forge run");
        self.above(&format!("{head} {what}\n"));
    }

    fn log(&mut self, stage: &StageKey, line: &str) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        let name = self.name(stage);
        let bar = self.paint.tone(Tone::Dim, "|");
        self.above(&format!(
            "{}\n",
            format!("{name} {bar} {}", clean(line)).trim_end()
        ));
    }

    /// What the guest has said to forge itself.
    fn heard(&mut self, stage: &StageKey, text: &str) {
        if self.verbosity == Verbosity::Normal {
            self.say(Tone::Active, "guest", stage, &clean_lines(text));
        }
    }

    fn warn(&mut self, stage: Option<&StageKey>, message: &str) {
        let head = self.paint.tone(Tone::Warn, "  warning");
        let whose = stage.map_or_else(String::new, |stage| format!("{}  ", self.name(stage)));
        self.above(&format!("{head} {whose}{}\n", clean_lines(message)));
    }

    fn finish(&mut self, stage: &StageKey, outcome: &Outcome, elapsed: Duration) {
        if let Some((_, bar)) = self.running.remove(stage) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        let (tone, word, more) = match outcome {
            Outcome::Done(_) => (Tone::Good, "done", exact(elapsed)),
            Outcome::Retrying(failure) => (Tone::Warn, "retry", failure.message.clone()),
            Outcome::Failed(failure) => (Tone::Bad, "failed", failure.message.clone()),
            Outcome::Blocked { by } => (Tone::Warn, "skipped", format!("{by} failed")),
            Outcome::Cancelled => (Tone::Warn, "stopped", exact(elapsed)),
        };
        if !matches!(outcome, Outcome::Retrying(_)) {
            self.ended += 1;
        }
        self.say(tone, word, stage, &clean_lines(&more));
    }

    /// Takes the live lines away for good.
    fn end(&mut self) {
        for (_, (_, bar)) in std::mem::take(&mut self.running) {
            bar.finish_and_clear();
        }
        self.footer.finish_and_clear();
        let _ = self.bars.clear();
        self.over = true;
    }

    fn say(&mut self, tone: Tone, word: &str, stage: &StageKey, more: &str) {
        let word = self.paint.tone(tone, &format!("{word:>9}"));
        let name = self.name(stage);
        let text = format!("{word} {name}  {}", self.paint.tone(Tone::Dim, more));
        self.above(&format!("{}\n", text.trim_end()));
    }

    /// The stage's name in its colour; stages get colours in the order in which they appear.
    fn name(&mut self, stage: &StageKey) -> String {
        let next = self.colours.len();
        let number = *self.colours.entry(stage.clone()).or_insert(next);
        self.paint.tone(Tone::Stage(number), &stage.to_string())
    }

    /// To be written above the live lines with the next drawing.
    fn above(&mut self, text: &str) {
        self.pending.push_str(text);
    }

    /// Writes what is pending: the live lines make room once for all of it.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.pending);
        if !text.is_empty() {
            // a terminal that has gone away must not stop the build
            let _ = self.bars.suspend(|| self.screen.write(&text));
        }
    }

    fn new_bar(&self) -> ProgressBar {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        if self.footer.is_hidden() {
            self.bars.add(bar)
        } else {
            self.bars.insert_before(&self.footer, bar)
        }
    }

    fn draw(&mut self, now: Duration) {
        if self.lent {
            return;
        }
        self.flush();
        if self.over {
            return;
        }
        self.drawn = now;
        let width = usize::from(self.screen.width());
        for (live, bar) in self.running.values() {
            let colour = self.colours.get(&live.stage).copied().unwrap_or(0);
            bar.set_message(line(live, now, width, colour, self.paint));
            bar.tick();
        }
        if !self.running.is_empty() {
            let counts = (self.ended, self.running.len(), self.total);
            let times = (now.saturating_sub(self.started), self.expected);
            self.footer.set_message(footer(counts, times, self.paint));
            self.footer.tick();
        }
    }
}

fn started(reasons: &[String], expected: Option<Duration>, attempt: u32) -> String {
    let mut parts = Vec::new();
    if attempt > 1 {
        parts.push(format!("attempt {attempt}"));
    }
    parts.extend_from_slice(reasons);
    let expected = expected.map_or_else(String::new, |expected| format!(" ({})", about(expected)));
    format!("{}{expected}", parts.join(", "))
        .trim_start()
        .to_owned()
}

/// Several lines, each made harmless; all but the first one indented.
fn clean_lines(text: &str) -> String {
    text.lines()
        .map(clean)
        .collect::<Vec<_>>()
        .join("\n          ")
}
