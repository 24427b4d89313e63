//! TCP connections that start inside the guest: many at once, over the few SSH connections that a guest lends.
//!
//! `127.0.0.1` is the guest itself. Nothing runs in the background: bytes flow while [`Trunk::carry`] is polled.
//!
//! libssh2 can open one channel at a time, and an opening that hangs cannot be taken back. Such a connection opens no more; when
//! nothing else is carried on it, it is closed. Meanwhile another connection, if requests wait too long, goes on.

mod pipe;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use ssh2::{Channel, ErrorCode};
use tokio::io::{DuplexStream, Interest};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::client::Lent;
use super::connection::{Connection, Limits, Step, Stop, code, would_block};
use super::{Guest, GuestError, quote};
use pipe::{Pipe, Turn};

/// How many SSH connections are used at most.
const LANES: u32 = 4;
/// How long a request waits before one more SSH connection takes it.
const STALL: Duration = Duration::from_millis(300);

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreached {
    /// The server cannot be reached from the guest.
    Refused(String),
    /// The guest does not let us try.
    Forbidden(String),
    /// Not in time.
    Late,
}

/// A connection, and when its opening began.
pub(super) struct Line {
    /// Reads and writes what the server writes and reads.
    pub(super) stream: DuplexStream,
    /// The time before the server was asked.
    pub(super) begun: Instant,
}

struct Request {
    host: String,
    port: u16,
    limit: Duration,
    asked: Instant,
    reply: oneshot::Sender<Result<Line, Unreached>>,
}

/// An opening that libssh2 works at.
struct Opening {
    request: Request,
    begun: Instant,
}

impl Opening {
    fn deadline(&self) -> Instant {
        self.begun + self.request.limit
    }

    /// Whether nobody waits for it any more.
    fn abandoned(&self) -> bool {
        self.request.reply.is_closed() || Instant::now() >= self.deadline()
    }
}

/// Where connections are asked for and carried.
#[derive(Default)]
pub(super) struct Trunk {
    waiting: Mutex<VecDeque<Request>>,
    bell: Notify,
}

impl Trunk {
    /// A connection to `host:port`, opened within `limit`. Somebody must [`Trunk::carry`] meanwhile.
    pub(super) async fn dial(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<Line, Unreached> {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            host: host.to_owned(),
            port,
            limit,
            asked: Instant::now(),
            reply,
        };
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.push_back(request);
        }
        self.bell.notify_waiters();
        answer.await.unwrap_or(Err(Unreached::Late))
    }

    /// Carries all connections; returns only when the guest is lost or somebody asks to stop.
    pub(super) async fn carry(&self, guest: &Guest, limits: Limits<'_>) -> GuestError {
        let mut lanes: Vec<_> = (0..LANES)
            .map(|number| Box::pin(self.lane(guest, number, limits)))
            .collect();
        std::future::poll_fn(|context| {
            for lane in &mut lanes {
                if let Poll::Ready(error) = lane.as_mut().poll(context) {
                    return Poll::Ready(error);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Uses one SSH connection after the other, each as long as it is good for something.
    async fn lane(&self, guest: &Guest, number: u32, limits: Limits<'_>) -> GuestError {
        loop {
            let request = match limits.run(self.next(number)).await {
                Ok(request) => request,
                Err(stop) => return stop.into_error("asking the guest", Duration::ZERO),
            };
            let lent = match guest.lend(limits).await {
                Ok((lent, _)) => lent,
                Err(error) => return error,
            };
            let mut lane = Lane {
                trunk: self,
                number,
                lent,
                freight: Freight::default(),
            };
            lane.freight.begin(request);
            match lane.run(limits).await {
                Ok(()) if !lane.freight.stuck => lane.lent.give_back(),
                Ok(()) => {}
                Err(stop) => return stop.into_error("asking the guest", Duration::ZERO),
            }
        }
    }

    /// The next request for a lane: the first takes all that comes, the others what has waited too long.
    async fn next(&self, number: u32) -> Request {
        loop {
            let rung = self.bell.notified();
            if let Some(request) = self.take(number) {
                return request;
            }
            if number == 0 {
                rung.await;
            } else {
                tokio::time::sleep(STALL / 4).await;
            }
        }
    }

    fn take(&self, number: u32) -> Option<Request> {
        let mut waiting = self.waiting.lock().ok()?;
        while waiting.front().is_some_and(|first| first.reply.is_closed()) {
            waiting.pop_front();
        }
        let patience = STALL * number;
        waiting
            .front()
            .filter(|first| first.asked.elapsed() >= patience)?;
        waiting.pop_front()
    }
}

/// One SSH connection and what it carries.
struct Lane<'a> {
    trunk: &'a Trunk,
    number: u32,
    lent: Lent<'a>,
    freight: Freight,
}

/// What is carried on one connection.
#[derive(Default)]
struct Freight {
    opening: Option<Opening>,
    /// The server has refused the opening, with these words.
    refusal: Option<String>,
    /// An opening hangs for which nobody waits any more.
    stuck: bool,
    pipes: Vec<Pipe>,
}

impl Lane<'_> {
    /// Carries until nothing is left to carry.
    async fn run(&mut self, limits: Limits<'_>) -> Result<(), Stop> {
        let mut waited = None;
        loop {
            if self.freight.is_free()
                && let Some(request) = self.trunk.take(self.number)
            {
                self.freight.begin(request);
            }
            let freight = &mut self.freight;
            let connection = &mut self.lent.connection;
            let step = connection.attempt(waited.take(), &mut |c| freight.pass(c));
            let mut moved = matches!(step.map_err(Stop::Ssh)?, Step::Moved);
            if let Some(message) = freight.refusal.take()
                && let Some(opening) = freight.opening.take()
            {
                let Request { host, port, .. } = &opening.request;
                let answer = refused(connection, &message, host, *port, limits).await?;
                freight.answer(opening, answer);
                moved = true;
            }
            freight.pipes.retain(|pipe| !pipe.is_closed());
            if freight.is_empty() {
                return Ok(());
            }
            if moved {
                limits.check()?;
                tokio::task::consume_budget().await;
                continue;
            }
            waited = self.wait(limits).await?;
        }
    }

    /// Waits until something can move; the socket's readiness if it was that.
    async fn wait(&mut self, limits: Limits<'_>) -> Result<Option<Interest>, Stop> {
        let interest = self.lent.connection.interest();
        let free = self.freight.is_free();
        let Freight { opening, pipes, .. } = &mut self.freight;
        let abandoned = async {
            match opening {
                Some(opening) => {
                    let deadline = opening.deadline();
                    let _ = tokio::time::timeout_at(deadline, opening.request.reply.closed()).await;
                }
                None => std::future::pending().await,
            }
        };
        let local = std::future::poll_fn(|context| {
            // all of them have their turn
            let mut moved = false;
            for pipe in pipes.iter_mut() {
                moved |= pipe.local_turn(context);
            }
            if moved {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        tokio::select! {
            biased;
            ready = self.lent.connection.ready(limits, interest) => ready.map(|()| Some(interest)),
            () = local => Ok(None),
            () = self.trunk.bell.notified(), if free => Ok(None),
            () = abandoned => Ok(None),
            () = tokio::time::sleep(STALL / 4), if free => Ok(None),
        }
    }
}

impl Freight {
    /// Whether one more connection can be opened.
    const fn is_free(&self) -> bool {
        self.opening.is_none() && !self.stuck
    }

    fn is_empty(&self) -> bool {
        self.opening.is_none() && self.pipes.is_empty()
    }

    fn begin(&mut self, request: Request) {
        let begun = Instant::now();
        self.opening = Some(Opening { request, begun });
    }

    fn answer(&mut self, opening: Opening, answer: Result<Channel, Unreached>) {
        let Opening { request, begun } = opening;
        let line = answer.map(|channel| {
            let (pipe, stream) = Pipe::new(channel);
            self.pipes.push(pipe);
            Line { stream, begun }
        });
        // a pipe whose other end is gone closes itself
        let _ = request.reply.send(line);
    }

    /// Moves what can be moved without waiting.
    fn pass(&mut self, connection: &Connection) -> Result<Step<()>, ssh2::Error> {
        let mut moved = false;
        // a half-sent packet of a pipe must be finished by that pipe
        let held = self.pipes.iter().position(Pipe::holds);
        if held.is_none() {
            moved = self.open(connection)?;
            if self.opening.is_some() && connection.interest().is_writable() {
                return Ok(Step::Blocked);
            }
        }
        for (at, pipe) in self.pipes.iter_mut().enumerate() {
            if held.is_some_and(|held| held != at) {
                continue;
            }
            match pipe.guest_turn(connection)? {
                Turn::Moved => moved = true,
                Turn::Idle => {}
                Turn::Holds => break,
            }
        }
        Ok(if moved { Step::Moved } else { Step::Blocked })
    }

    /// Goes on with the opening; whether it has come to an end.
    fn open(&mut self, connection: &Connection) -> Result<bool, ssh2::Error> {
        if self.stuck || self.refusal.is_some() {
            return Ok(false);
        }
        let Some(opening) = self.opening.take() else {
            return Ok(false);
        };
        let Request { host, port, .. } = &opening.request;
        match connection.session().channel_direct_tcpip(host, *port, None) {
            Ok(channel) => self.answer(opening, Ok(channel)),
            Err(error) if would_block(&error) && opening.abandoned() => {
                self.stuck = true;
                let _ = opening.request.reply.send(Err(Unreached::Late));
            }
            Err(error) if would_block(&error) => {
                self.opening = Some(opening);
                return Ok(false);
            }
            Err(error) if error.code() == ErrorCode::Session(code::CHANNEL_FAILURE) => {
                self.refusal = Some(error.message().to_owned());
                self.opening = Some(opening);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

/// What stands behind a refused opening: a server that does not answer, or a guest that forbids it; then `nc` may do.
async fn refused(
    connection: &mut Connection,
    message: &str,
    host: &str,
    port: u16,
    limits: Limits<'_>,
) -> Result<Result<Channel, Unreached>, Stop> {
    if !message.contains("prohibited") {
        let why = format!("{host}:{port} does not answer");
        return Ok(Err(Unreached::Refused(why)));
    }
    pipe::by_netcat(connection, &quote(host), port, limits).await
}
