use super::super::screen::COLUMNS;
use super::*;

const QUICK: Pace = Pace {
    watched: Duration::ZERO,
    blind: Duration::ZERO,
    look: Duration::from_micros(100),
    // far above what a busy host takes for the looks that a slow screen needs
    echo: Duration::from_millis(150),
    effect: Duration::from_millis(5),
    still: Duration::from_micros(300),
};

/// How a guest shows what it is typed.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    Characters,
    Stars,
    Pixels,
}

/// A boot loader's prompt that loses some of the keys.
struct Prompt {
    shows: Shows,
    /// Where the prompt stands, and what it says.
    prompt: Vec<char>,
    line: String,
    entered: Vec<String>,
    /// Everything that arrived, lost or not.
    sent: Vec<KeyEvent>,
    shift: bool,
    random: u64,
    /// One key in so many is lost; 0: none.
    loses: u64,
    /// Looks until a key is shown.
    lag: usize,
    shown: std::collections::VecDeque<Vec<char>>,
}

impl Prompt {
    fn new(prompt: &str) -> Self {
        let mut cells = vec![' '; COLUMNS * 20];
        cells.extend(prompt.chars());
        Self {
            shows: Shows::Characters,
            prompt: cells,
            line: String::new(),
            entered: Vec::new(),
            sent: Vec::new(),
            shift: false,
            random: 1,
            loses: 0,
            lag: 0,
            shown: std::collections::VecDeque::new(),
        }
    }

    fn loses_this(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.loses != 0 && self.random.is_multiple_of(self.loses)
    }

    fn press(&mut self, qcode: &str) {
        match qcode {
            "ret" => self.entered.push(std::mem::take(&mut self.line)),
            "backspace" => {
                self.line.pop();
            }
            _ => {
                let c = (' '..='~').find(|c| {
                    let strokes = keyboard::strokes(*c, Layout::Us).unwrap();
                    strokes[0].qcode == qcode && strokes[0].modifier.is_some() == self.shift
                });
                self.line.extend(c);
            }
        }
    }

    async fn play(&mut self, keys: &str) {
        let keys = Keys::parse(keys).unwrap();
        play_at(self, &keys, Layout::Us, QUICK).await.unwrap();
    }
}

#[async_trait]
impl Console for Prompt {
    async fn cells(&mut self) -> Result<Option<(Cells, u64)>, ProviderError> {
        let mut cells = self.prompt.clone();
        match self.shows {
            Shows::Characters => cells.extend(self.line.chars()),
            Shows::Stars => cells.extend(self.line.chars().map(|_| '*')),
            Shows::Pixels => return Ok(None),
        }
        cells.resize(COLUMNS * 40, ' ');
        self.shown.push_back(cells);
        while self.shown.len() > self.lag + 1 {
            self.shown.pop_front();
        }
        let cells = self.shown[0].clone();
        let text: String = cells.iter().collect();
        Ok(Some((
            Cells(cells),
            crate::provider::fingerprint(text.as_bytes()),
        )))
    }

    async fn send(&mut self, events: &[KeyEvent]) -> Result<(), ProviderError> {
        for event in events {
            self.sent.push(*event);
            if event.qcode == "shift" {
                self.shift = event.down;
            } else if event.down && (event.qcode == "ret" || !self.loses_this()) {
                self.press(event.qcode);
            }
        }
        Ok(())
    }

    async fn pause(&mut self, time: Duration) -> Result<(), ProviderError> {
        tokio::time::sleep(time).await;
        Ok(())
    }
}

const LINE: &str =
    "linux text ks=http://10.0.2.2:8080/A_b.cfg quiet net.ifnames=0 console=ttyS0,115200 x=[y]";

#[tokio::test]
async fn a_line_arrives_as_it_was_written() {
    let mut prompt = Prompt::new("boot: ");
    prompt.play(&format!("{LINE}<enter>")).await;
    assert_eq!(prompt.entered, [LINE]);
}

#[tokio::test]
async fn lost_keys_are_typed_again_before_enter() {
    for seed in 1..=8 {
        let mut prompt = Prompt::new("boot: ");
        prompt.random = seed * 7919;
        prompt.loses = 12;
        prompt.play(&format!("{LINE}<enter>")).await;
        assert_eq!(prompt.entered, [LINE], "seed {seed}");
    }
}

#[tokio::test]
async fn a_slow_screen_is_waited_for() {
    let mut prompt = Prompt::new("boot: ");
    prompt.lag = 8;
    prompt.play(&format!("{LINE}<enter>")).await;
    assert_eq!(prompt.entered, [LINE]);
    let backspaces = prompt.sent.iter().filter(|e| e.qcode == "backspace");
    assert_eq!(backspaces.count(), 0);
}

#[tokio::test]
async fn what_is_not_echoed_is_typed_once() {
    for shows in [Shows::Stars, Shows::Pixels] {
        let mut prompt = Prompt::new("Password: ");
        prompt.shows = shows;
        prompt.play("Secret word<enter>more<enter>").await;
        assert_eq!(prompt.entered, ["Secret word", "more"]);
        let backspaces = prompt.sent.iter().filter(|e| e.qcode == "backspace");
        assert_eq!(backspaces.count(), 0);
    }
}

#[tokio::test]
async fn held_keys_stay_down_around_others() {
    let mut prompt = Prompt::new("");
    prompt.play("<leftCtrlOn><leftAltOn><del>").await;
    let shown: Vec<_> = prompt
        .sent
        .iter()
        .map(|e| format!("{}{}", if e.down { '+' } else { '-' }, e.qcode))
        .collect();
    assert_eq!(
        shown,
        ["+ctrl", "+alt", "+delete", "-delete", "-alt", "-ctrl"]
    );
}

#[tokio::test]
async fn a_character_without_a_key_is_told_before_anything_is_typed() {
    let mut prompt = Prompt::new("");
    let keys = Keys::parse("abc<enter>ü").unwrap();
    let error = play_at(&mut prompt, &keys, Layout::Us, QUICK)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the keyboard layout `us` has no key for `ü`"
    );
    assert!(prompt.sent.is_empty());
}

#[test]
fn groups_end_where_something_can_be_seen() {
    let len = |text: &str| group_len(&text.chars().collect::<Vec<_>>());
    assert_eq!(len("abcdefgh"), 5);
    assert_eq!(len("abcd efgh"), 6);
    assert_eq!(len("abcd    "), 8);
    assert_eq!(len("a"), 1);
    assert_eq!(len("   "), 3);
}
