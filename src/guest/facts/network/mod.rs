//! What is asked over connections that start inside the system: addresses, DNS, HTTP.

mod address;
mod dns;
mod http;
mod proxy;
mod tls;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::answers::span;
use super::records::{Ended, Records};
use super::script::{dials, part};
use super::system::Dialler;
use crate::goss::{Answer, Question, Truth};
use crate::guest::trunk::Unreached;

/// The script could not ask; a connection must tell.
const OTHERWISE: i64 = 99;

/// What questions about the network need.
struct Network<'a> {
    dialler: &'a Dialler,
    records: &'a Records,
    /// Whether all that the script does not tell is asked from here.
    is_here: bool,
    /// The parts that have dialled addresses, by question.
    dialled: HashMap<usize, String>,
    /// The most waits for the network that one question took.
    waves: AtomicU32,
}

impl Network<'_> {
    /// Counts the waits of one question.
    fn waited(&self, waves: u32) {
        self.waves.fetch_max(waves, Ordering::Relaxed);
    }
}

/// Asks all at once; the answers by the questions' numbers, and the most waits that one of them took.
pub(super) async fn ask(
    (dialler, is_here): (&Dialler, bool),
    records: &Records,
    questions: &[Question],
    at_once: usize,
) -> (Vec<(usize, Answer)>, u32) {
    let dialled = dials(questions).into_iter().flat_map(|dial| {
        let part = dial.part;
        let numbers = dial.numbers.into_iter();
        numbers.map(move |number| (number, part.clone()))
    });
    let network = Network {
        dialler,
        records,
        is_here,
        dialled: dialled.collect(),
        waves: AtomicU32::new(0),
    };
    let mut asked: Vec<BoxFuture<'_, (usize, Answer)>> = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        let Some(work) = network.question(number, question) else {
            continue;
        };
        let own = network.dialled.get(&number).cloned();
        let took = records.took(&own.unwrap_or_else(|| part(number)));
        let took = took.unwrap_or_default();
        asked.push(Box::pin(async move {
            let start = Instant::now();
            let mut answer = work.await;
            answer.took = if took.is_zero() {
                start.elapsed()
            } else {
                took
            };
            (number, answer)
        }));
    }
    let answers = stream::iter(asked)
        .buffer_unordered(at_once.max(1))
        .collect()
        .await;
    (answers, network.waves.into_inner())
}

impl Network<'_> {
    fn question<'q>(
        &'q self,
        number: usize,
        question: &'q Question,
    ) -> Option<BoxFuture<'q, Answer>> {
        match question {
            Question::Addr { .. } => Some(self.address(number, question).boxed()),
            Question::Dns { .. } => Some(self.dns(number, question).boxed()),
            Question::Http { .. } => Some(self.http(number, question).boxed()),
            _ => None,
        }
    }
}

/// An answer with these values.
fn answer(values: impl IntoIterator<Item = (&'static str, Result<Truth, String>)>) -> Answer {
    Answer {
        values: values.into_iter().collect(),
        took: Duration::ZERO,
    }
}

/// The words for what was not reached.
fn unreached(end: Unreached, limit: Duration) -> String {
    match end {
        Unreached::Refused(reason) | Unreached::Forbidden(reason) => reason,
        Unreached::Late => late(limit),
    }
}

fn late(limit: Duration) -> String {
    format!("no answer within {}", span(limit))
}
