//! The functions that templates may call: Go's own, goss's, and those of Sprig whose result is the same at each run.

mod basic;
mod dates;
mod dicts;
mod encoding;
mod lists;
mod math;
mod paths;
mod regexes;
mod strings;
mod versions;

use super::{Fault, World};
use crate::diag::closest;
use crate::goss::Value;

/// What a function returns.
type Outcome = Result<Value, String>;

/// A function's name, how many arguments it takes at least and at most, and what it does.
type Function = (&'static str, usize, usize, fn(&Call<'_>) -> Outcome);

/// Any number.
const MANY: usize = usize::MAX;
/// How long texts and lists may become.
const LIMIT: usize = 16 << 20;

/// A function's arguments, and the world that it may ask.
pub(super) struct Call<'a> {
    pub(super) world: &'a dyn World,
    pub(super) arguments: Vec<Value>,
}

/// In order of precedence: goss's own override Sprig's.
const TABLES: [&[Function]; 10] = [
    basic::TABLE,
    strings::TABLE,
    lists::TABLE,
    dicts::TABLE,
    math::TABLE,
    encoding::TABLE,
    regexes::TABLE,
    versions::TABLE,
    dates::TABLE,
    paths::TABLE,
];

/// Sprig's functions that would make a check another one at each run, or that reach out into the network.
const REFUSED: [&str; 22] = [
    "ago",
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randBytes",
    "randInt",
    "shuffle",
    "uuidv4",
    "bcrypt",
    "htpasswd",
    "genPrivateKey",
    "derivePassword",
    "buildCustomCert",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "encryptAES",
    "getHostByName",
];

fn find(name: &str) -> Option<&'static Function> {
    TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|(known, ..)| *known == name)
}

/// Why there is no function of this name; none if there is one. The place is the caller's.
pub(super) fn unknown(name: &str) -> Option<Fault> {
    if matches!(name, "and" | "or") || find(name).is_some() {
        return None;
    }
    if REFUSED.contains(&name) {
        let message = format!("`{name}` gives another result at each run, which a check must not");
        return Some(Fault::new((0, 0), message));
    }
    let known = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .map(|(name, ..)| *name);
    let help =
        closest(name, known.chain(["and", "or"])).map(|near| format!("did you mean `{near}`?"));
    Some(Fault {
        help,
        ..Fault::new((0, 0), format!("there is no function `{name}`"))
    })
}

/// Whether a function changes its first argument where that came from.
pub(super) fn changes(name: &str) -> bool {
    matches!(
        name,
        "set" | "unset" | "merge" | "mergeOverwrite" | "mustMerge" | "mustMergeOverwrite"
    )
}

/// Calls a function.
pub(super) fn call(name: &str, call: &Call<'_>) -> Outcome {
    let Some((_, least, most, function)) = find(name) else {
        return Err("there is no such function".into());
    };
    let given = call.arguments.len();
    if given < *least || given > *most {
        let wanted = match (least, most) {
            (least, most) if least == most => format!("{least}"),
            (least, &MANY) => format!("at least {least}"),
            (least, most) => format!("{least} to {most}"),
        };
        return Err(format!("takes {wanted} arguments, {given} are given"));
    }
    function(call)
}

impl Call<'_> {
    fn get(&self, number: usize) -> &Value {
        self.arguments.get(number).unwrap_or(&Value::Null)
    }

    fn wrong(&self, number: usize, wanted: &str) -> String {
        let value = self.get(number);
        let shown = match value {
            Value::Null => "nothing".to_owned(),
            value => format!("{value} ({})", value.go_type()),
        };
        format!("argument {} must be {wanted}, not {shown}", number + 1)
    }

    /// A string; nothing else is taken for one.
    fn text(&self, number: usize) -> Result<&str, String> {
        self.get(number)
            .as_text()
            .ok_or_else(|| self.wrong(number, "a string"))
    }

    /// A whole number; a constant such as `1.0` is one too.
    fn int(&self, number: usize) -> Result<i64, String> {
        match self.get(number) {
            Value::Int(int) => Ok(*int),
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
            Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Ok(*float as i64),
            _ => Err(self.wrong(number, "an integer")),
        }
    }

    /// A count that is not too large for a text or a list.
    fn count(&self, number: usize) -> Result<usize, String> {
        let count = self.int(number)?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= LIMIT)
            .ok_or_else(|| self.wrong(number, "a small positive number"))
    }

    fn list(&self, number: usize) -> Result<Vec<Value>, String> {
        self.get(number)
            .elements()
            .ok_or_else(|| self.wrong(number, "a list"))
    }

    fn map(&self, number: usize) -> Result<&std::collections::BTreeMap<String, Value>, String> {
        match self.get(number) {
            Value::Map(map) => Ok(map),
            _ => Err(self.wrong(number, "a dictionary")),
        }
    }
}

/// A text of a function, if it is not too long.
fn bounded(text: String) -> Outcome {
    if text.len() > LIMIT {
        return Err("the text becomes too long".into());
    }
    Ok(Value::Text(text))
}

fn truth(flag: bool) -> Outcome {
    Ok(Value::Bool(flag))
}
