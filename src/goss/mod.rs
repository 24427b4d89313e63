//! The language of gossfiles (goss 0.4.10): templates, files, resources, matchers, verdicts and their reports. Pure: what is asked
//! of a system is a [`Question`], what it said an [`Answer`].
//!
//! How the pieces are used:
//! 1. [`Vars`] collects variables: [`Vars::file`], then [`Vars::inline`].
//! 2. [`load`] takes a [`Spec`], the builder's files ([`Files`]), the variables, and the target's own environment and files
//!    ([`World`], asked only if a template asks), and gives a [`Suite`] with its warnings, or all faults with their places.
//!    [`check`] tells what can be told of a file without any system.
//! 3. [`Resource::question`] says what must be asked; whoever reaches the system gathers an [`Answer`] for each.
//! 4. [`judge()`] takes the resource and its answer (an empty one for a resource without a question) to [`TestResult`]s.
//! 5. [`write()`] makes goss's text and exit code of all results, in any [`Format`].

mod file;
mod json;
mod judge;
mod kinds;
mod matcher;
mod object;
mod path;
mod printf;
mod question;
mod regex;
mod report;
mod resource;
mod template;
mod value;
mod yaml;

pub use file::{Files, Spec, Suite, Vars, check, load, render};
pub use judge::{Outcome, TestResult, judge};
pub use kinds::ResourceKind;
pub use matcher::{Matcher, MatcherResult, Shown, Transform};
pub(crate) use path::clean;
pub use question::{Answer, FileWants, Question, Transport, Truth};
pub use report::{Counts, Format, Options, Rendered, summary_line, write};
pub use resource::Resource;
pub use template::World;
pub use value::Value;
