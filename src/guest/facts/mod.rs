//! Facts: what gossfiles ask of a system ([`Question`]), and what it says ([`Answer`]). No agent, and nothing of goss in it.
//!
//! One script asks for all that a shell can tell, in one round trip: its parts run beside each other, each with its own limit, and
//! what they say is told apart by a mark that nobody can guess. It gets by with busybox. Then come the questions about the network
//! (HTTP, DNS, addresses), all at once, over connections that start inside the system. What a system cannot tell is an error that
//! says so, never an answer. This machine's own files are read, and its commands run, without a script: the same records come of it.

mod answers;
mod commands;
mod near;
mod network;
mod records;
mod script;
mod system;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ring::rand::SecureRandom as _;

use super::GuestError;
use super::connection::Limits;
use crate::goss::{Answer, Question};
use crate::sys::Cancel;
use answers::Told;
pub(crate) use answers::span;
use near::Near;
use records::Records;
use script::{Script, Settings};
use system::Dialler;
pub use system::{Place, System};

/// How much of one value is kept: of a file's content, a command's output, a response's body.
const KEEP: usize = 16 << 20;

fn too_long() -> String {
    format!("it is longer than {} MiB", KEEP >> 20)
}

/// How many questions may be under way at once, unless somebody says otherwise: as many as goss takes.
pub const AT_ONCE: usize = 50;

/// What a system has told.
#[derive(Debug)]
pub struct Gathered {
    /// One for each question, in their order.
    pub answers: Vec<Answer>,
    /// How often the system was waited for: a script, a redirection, or all connections at once count one.
    pub round_trips: u32,
    /// How long all of it took.
    pub took: Duration,
}

/// Asks a system. An error means that it could not be asked at all.
pub async fn gather(
    system: &System<'_>,
    questions: &[Question],
    at_once: usize,
    cancel: &Cancel,
) -> Result<Gathered, GuestError> {
    let start = Instant::now();
    let near = Near::read(system, questions).await;
    let script = Script::new(questions, &near.told);
    let scripted = async {
        match script.is_empty() {
            true => Ok(Records::default()),
            false => ask(system, &script, at_once, cancel).await,
        }
    };
    let ran = commands::run(system, questions, at_once, cancel);
    let (records, ran) = tokio::try_join!(scripted, ran)?;
    let round_trips = u32::from(!script.is_empty() || !near.told.is_empty());
    let mut records = records;
    records.add(near.records.into_iter().chain(ran));
    let told = Told::new(&records, questions);
    let mut answers: Vec<Answer> = (0..)
        .zip(questions)
        .map(|(number, q)| told.answer(number, q))
        .collect();
    let dialler = Dialler::new(system);
    let network = network::ask((&dialler, system.is_here()), &records, questions, at_once);
    let (theirs, waves) = match (&dialler, system.place) {
        (Dialler::Trunk(trunk), Place::Guest(guest)) => {
            let limits = Limits {
                deadline: None,
                cancel,
            };
            tokio::select! {
                biased;
                told = network => told,
                error = trunk.carry(guest, limits) => return Err(error),
            }
        }
        _ => cancel.run(network).await.ok_or(GuestError::Cancelled)?,
    };
    for (number, answer) in theirs {
        answers[number] = answer;
    }
    Ok(Gathered {
        answers,
        round_trips: round_trips + waves,
        took: start.elapsed(),
    })
}

/// Runs the script.
async fn ask(
    system: &System<'_>,
    script: &Script,
    at_once: usize,
    cancel: &Cancel,
) -> Result<Records, GuestError> {
    let mut random = [0; 16];
    let filled = ring::rand::SystemRandom::new().fill(&mut random);
    filled.map_err(|_| GuestError::Failed("this machine has no random numbers".to_owned()))?;
    let mark = random.iter().fold("forge-".to_owned(), |mark, byte| {
        format!("{mark}{byte:02x}")
    });
    let settings = Settings {
        mark: &mark,
        at_once: at_once.max(1),
        keep: KEEP,
    };
    let captured = system
        .run(script.text(&settings), script.limit(), cancel)
        .await?;
    let complaint = captured.complaint();
    let records = Records::parse(captured.stdout, &mark);
    if records.whole() {
        return Ok(records);
    }
    Err(GuestError::Failed(format!(
        "the system's shell cannot run the script for checks: {complaint}"
    )))
}
