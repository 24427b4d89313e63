//! Results as goss prints them, line by line.

mod diff;
mod lines;
mod prometheus;
mod structure;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use super::{Outcome, TestResult};
pub use lines::summary_line;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A letter each, then what failed.
    Rspecish,
    /// A line each, then what failed.
    Documentation,
    /// One object.
    Json,
    /// The same on one line, whatever the options say.
    JsonOneline,
    /// A test suite.
    Junit,
    /// A line for monitoring; exit code 2 for failures.
    Nagios,
    /// Metrics.
    Prometheus,
    /// One object with typed results; never fails.
    Structured,
    /// The test-anything protocol.
    Tap,
    /// Nothing.
    Silent,
}

impl Format {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 10] = [
        ("documentation", Self::Documentation),
        ("json", Self::Json),
        ("json_oneline", Self::JsonOneline),
        ("junit", Self::Junit),
        ("nagios", Self::Nagios),
        ("prometheus", Self::Prometheus),
        ("rspecish", Self::Rspecish),
        ("silent", Self::Silent),
        ("structured", Self::Structured),
        ("tap", Self::Tap),
    ];

    /// By name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| *format)
    }
}

/// goss's format options, and what a pure function cannot know.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "goss's switches, one each")]
pub struct Options {
    /// `perfdata`: figures for nagios.
    pub perfdata: bool,
    /// `verbose`: failures for nagios, resources for prometheus.
    pub verbose: bool,
    /// `pretty`: JSON on several lines.
    pub pretty: bool,
    /// `sort`: by type and id.
    pub sort: bool,
    /// `exclude_raw`: without the value before all transforms.
    pub exclude_raw: bool,
    /// Colours; those formats that programs read never have any.
    pub color: bool,
    /// When the run began.
    pub started: SystemTime,
    /// How long it took.
    pub took: Duration,
}

impl Options {
    /// The options that goss knows by name.
    pub const NAMES: [&'static str; 5] = ["exclude_raw", "perfdata", "pretty", "sort", "verbose"];

    /// None of them.
    #[must_use]
    pub const fn new(started: SystemTime, took: Duration) -> Self {
        Self {
            perfdata: false,
            verbose: false,
            pretty: false,
            sort: false,
            exclude_raw: false,
            color: false,
            started,
            took,
        }
    }

    /// Sets an option by name; false if there is none of this name.
    #[must_use]
    pub fn set(&mut self, name: &str) -> bool {
        let option = match name {
            "perfdata" => &mut self.perfdata,
            "verbose" => &mut self.verbose,
            "pretty" => &mut self.pretty,
            "sort" => &mut self.sort,
            "exclude_raw" => &mut self.exclude_raw,
            _ => return false,
        };
        *option = true;
        true
    }
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// What goss would print.
    pub text: String,
    /// The code with which goss would end.
    pub code: i32,
}

/// How many results there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that were not tried.
    pub skipped: usize,
}

impl Counts {
    /// Counts.
    #[must_use]
    pub fn of(groups: &[Vec<TestResult>]) -> Self {
        let mut counts = Self::default();
        for result in groups.iter().flatten() {
            counts.total += 1;
            counts.failed += usize::from(result.outcome == Outcome::Fail);
            counts.skipped += usize::from(result.outcome == Outcome::Skip);
        }
        counts
    }
}

/// Writes results; each group is one resource's.
#[must_use]
pub fn write(format: Format, groups: &[Vec<TestResult>], options: &Options) -> Rendered {
    let counts = Counts::of(groups);
    let mut groups: Vec<&[TestResult]> = groups
        .iter()
        .map(Vec::as_slice)
        .filter(|group| !group.is_empty())
        .collect();
    // those that goss does not sort come in the order in which they were tried
    if options.sort && !matches!(format, Format::Nagios | Format::Prometheus | Format::Silent) {
        groups.sort_by_key(|group| lines::sort_key(group));
    }
    let text = match format {
        Format::Rspecish => lines::rspecish(&groups, counts, options),
        Format::Documentation => lines::documentation(&groups, counts, options),
        Format::Json => structure::json(&groups, counts, options),
        Format::JsonOneline => structure::json(
            &groups,
            counts,
            &Options {
                pretty: false,
                ..*options
            },
        ),
        Format::Junit => structure::junit(&groups, counts, options),
        Format::Nagios => lines::nagios(&groups, counts, options),
        Format::Prometheus => prometheus::metrics(&groups, options),
        Format::Structured => structure::structured(&groups, counts, options),
        Format::Tap => lines::tap(&groups, counts, options),
        Format::Silent => String::new(),
    };
    let code = match format {
        Format::Structured | Format::Prometheus => 0,
        Format::Nagios if counts.failed > 0 => 2,
        _ => i32::from(counts.failed > 0),
    };
    Rendered { text, code }
}
