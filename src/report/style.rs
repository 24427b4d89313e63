//! Colours, and whether there are any.

use anstyle::{AnsiColor, Style};

/// When to colour: `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColourChoice {
    /// On a terminal that can, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How events are shown: `--output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputChoice {
    /// Live lines on a terminal, plain lines elsewhere and in CI.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// One JSON object per line.
    Json,
}

/// What [`OutputChoice`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Live lines.
    Terminal,
    /// Plain lines.
    Plain,
    /// JSON lines.
    Json,
}

/// A lookup of environment variables.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl ColourChoice {
    /// Whether to colour what goes to a stream that is a terminal or not. The flag counts most, then `NO_COLOR`,
    /// `CLICOLOR_FORCE`, `CLICOLOR`, `TERM`.
    #[must_use]
    pub fn resolve(self, is_terminal: bool, env: Env<'_>) -> bool {
        let set = |name| env(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set("NO_COLOR") => false,
            Self::Auto if env("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0") => true,
            Self::Auto if env("CLICOLOR").is_some_and(|v| v == "0") => false,
            Self::Auto => is_terminal && env("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

impl OutputChoice {
    /// How to show events on a stream that is a terminal or not.
    #[must_use]
    pub fn resolve(self, is_terminal: bool, env: Env<'_>) -> OutputKind {
        let in_ci =
            env("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0");
        let can_move = env("TERM").is_none_or(|term| term != "dumb");
        match self {
            Self::Json => OutputKind::Json,
            Self::Auto if is_terminal && can_move && !in_ci => OutputKind::Terminal,
            Self::Auto | Self::Plain => OutputKind::Plain,
        }
    }
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Warn,
    Active,
    Dim,
    Bold,
    /// A stage's name; the number picks the colour.
    Stage(usize),
}

/// Paints, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// Paints if `colour`.
    #[must_use]
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Leaves text as it is.
    #[must_use]
    pub const fn plain() -> Self {
        Self { colour: false }
    }

    pub(super) fn tone(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{}{text}{}", style.render(), style.render_reset())
    }
}

/// Told apart well on light and dark grounds; red and yellow are for failures and warnings.
const STAGE_COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warn => AnsiColor::Yellow.on_default().bold(),
            Self::Active => AnsiColor::Cyan.on_default().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Bold => Style::new().bold(),
            Self::Stage(number) => STAGE_COLOURS[number % STAGE_COLOURS.len()].on_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(choice: ColourChoice, terminal: bool, vars: &[(&str, &str)]) -> bool {
        choice.resolve(terminal, &|name| lookup(vars, name))
    }

    fn lookup(vars: &[(&str, &str)], name: &str) -> Option<String> {
        vars.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_flag_counts_more_than_the_environment_and_that_more_than_the_stream() {
        use ColourChoice::{Always, Auto, Never};
        assert!(colour(Auto, true, &[]));
        assert!(!colour(Auto, false, &[]));
        assert!(!colour(Auto, true, &[("NO_COLOR", "1")]));
        assert!(colour(Auto, true, &[("NO_COLOR", "")]));
        assert!(!colour(
            Auto,
            true,
            &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]
        ));
        assert!(colour(Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!colour(Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!colour(Auto, true, &[("CLICOLOR", "0")]));
        assert!(!colour(Auto, true, &[("TERM", "dumb")]));
        assert!(colour(Always, false, &[("NO_COLOR", "1")]));
        assert!(!colour(Never, true, &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn live_lines_need_a_terminal_and_no_ci() {
        let kind = |choice: OutputChoice, terminal, vars: &[(&str, &str)]| {
            choice.resolve(terminal, &|name| lookup(vars, name))
        };
        assert_eq!(kind(OutputChoice::Auto, true, &[]), OutputKind::Terminal);
        assert_eq!(kind(OutputChoice::Auto, false, &[]), OutputKind::Plain);
        assert_eq!(
            kind(OutputChoice::Auto, true, &[("CI", "true")]),
            OutputKind::Plain
        );
        assert_eq!(
            kind(OutputChoice::Auto, true, &[("CI", "false")]),
            OutputKind::Terminal
        );
        assert_eq!(
            kind(OutputChoice::Auto, true, &[("TERM", "dumb")]),
            OutputKind::Plain
        );
        assert_eq!(kind(OutputChoice::Plain, true, &[]), OutputKind::Plain);
        assert_eq!(kind(OutputChoice::Json, true, &[]), OutputKind::Json);
    }

    #[test]
    fn paint_is_none_without_colour() {
        assert_eq!(Paint::plain().tone(Tone::Bad, "x"), "x");
        assert_eq!(
            Paint::new(true).tone(Tone::Bad, "x"),
            "\u{1b}[1m\u{1b}[31mx\u{1b}[0m"
        );
    }
}
