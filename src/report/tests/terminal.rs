use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::{Event, Sink};

use super::super::{Paint, Terminal, TerminalOptions, Verbosity};
use super::emulator::Emulator;
use super::story::{bad, done, finished, good, log, progress, run_started, started, step};

struct Stand {
    screen: Emulator,
    terminal: Terminal,
    millis: Arc<AtomicU64>,
}

impl Stand {
    fn new(columns: u16, paint: Paint, verbosity: Verbosity) -> Self {
        let screen = Emulator::new(usize::from(columns));
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let terminal = Terminal::new(TerminalOptions {
            out: Box::new(screen.clone()),
            measure: Box::new(move || (columns, 24)),
            paint,
            verbosity,
            clock: Box::new(move || Duration::from_millis(clock.load(Ordering::Relaxed))),
            tick: None,
        });
        Self {
            screen,
            terminal,
            millis,
        }
    }

    fn play(&self, events: impl IntoIterator<Item = Event>) {
        events
            .into_iter()
            .for_each(|event| self.terminal.event(event));
    }

    fn at(&self, millis: u64) {
        self.millis.store(millis, Ordering::Relaxed);
    }
}

#[test]
fn running_stages_have_live_lines_below_the_log() {
    let stand = Stand::new(72, Paint::new(true), Verbosity::Normal);
    let (base, clone) = ("iso-base[os=mini]", "provision[os=mini]");
    stand.play([
        run_started(5),
        started(base, &["never built"], None, 1),
        started(clone, &["forced"], Some(80.2), 1),
    ]);
    stand.at(41_200);
    stand.play([
        step(base, "fetching mini.iso"),
        progress(base, 12 << 20, Some(64 << 20)),
    ]);
    stand.play([step(
        clone,
        "[2/5] a step with a name that is much too long for the line it stands in",
    )]);
    stand.play([
        log(clone, "+ apk add k3s"),
        log(clone, "two\u{1b}[2Jlines\u{1b}[A"),
    ]);
    insta::assert_snapshot!("live", stand.screen.text());
    stand.play([finished(base, done(), 41.2)]);
    insta::assert_snapshot!("one_less", stand.screen.text());
    stand.play([log(clone, &"long ".repeat(40))]);
    drop(stand.terminal);
    insta::assert_snapshot!("dropped", stand.screen.text());
    assert_eq!(stand.screen.cursor().1, 0);
}

#[test]
fn a_good_run_on_a_terminal() {
    let stand = Stand::new(100, Paint::new(true), Verbosity::Normal);
    stand.play(good());
    insta::assert_snapshot!(stand.screen.text());
}

#[test]
fn a_good_run_on_a_quiet_terminal() {
    let stand = Stand::new(100, Paint::plain(), Verbosity::Quiet);
    stand.play(good());
    insta::assert_snapshot!(stand.screen.text());
}

#[test]
fn a_bad_run_on_a_terminal() {
    let stand = Stand::new(100, Paint::plain(), Verbosity::Normal);
    stand.play(bad());
    insta::assert_snapshot!(stand.screen.text());
}

#[test]
fn live_lines_move_without_events() {
    let (told, hears) = std::sync::mpsc::channel();
    let clock = AtomicU64::new(0);
    let screen = Emulator::new(60);
    let terminal = Terminal::new(TerminalOptions {
        out: Box::new(screen.clone()),
        measure: Box::new(|| (60, 24)),
        paint: Paint::plain(),
        verbosity: Verbosity::Normal,
        clock: Box::new(move || {
            let _ = told.send(());
            Duration::from_secs(clock.fetch_add(1, Ordering::Relaxed))
        }),
        tick: Some(Duration::from_millis(1)),
    });
    terminal.event(run_started(1));
    terminal.event(started("a", &[], None, 1));
    hears.iter().take(20).count();
    assert!(screen.text().contains(" a  "), "{}", screen.text());
    drop(terminal);
    assert_eq!(screen.text(), "forge run ova: 1 stage\n      run a");
}
