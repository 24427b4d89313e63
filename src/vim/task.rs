//! Tasks: methods that go on after their call has returned.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Client, Element, Fault, Properties, Ref, VimError, Xml, soap};
use crate::sys::Cancel;

/// How long a cancelled task may take to end.
const STOPPING: Duration = Duration::from_secs(30);
/// How long tasks may take: longer than any does.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long it may take to ask what has happened.
const EVENTS: Duration = Duration::from_secs(5);
/// How often a lost task is started again.
const TRIES: usize = 3;
/// How many of the events before a failure are told.
const TOLD: usize = 3;

/// How a task is waited for.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    /// Stops the task.
    pub cancel: &'a Cancel,
    /// Is told how far it is, in percent.
    pub progress: &'a (dyn Fn(u8) + Send + Sync),
}

impl<'a> Waiting<'a> {
    /// Tells nobody how far it is.
    #[must_use]
    pub fn quiet(cancel: &'a Cancel) -> Self {
        Self {
            cancel,
            progress: &|_| {},
        }
    }
}

impl Client {
    /// Calls a method that starts a task, such as `ReconfigVM_Task`, and waits for its end. Gives the task's result, an
    /// empty element if it has none. When cancelled, the task is cancelled and its end awaited for a while; a result that
    /// comes nevertheless is given, so that what it made can be removed. A task that the server has lost by a restart is
    /// started again where that does no harm, else it is [`VimError::Lost`].
    pub async fn task(
        &self,
        this: &Ref,
        method: &str,
        body: impl Fn(&mut Xml),
        waiting: &Waiting<'_>,
    ) -> Result<Element, VimError> {
        let mut tries = 0..TRIES;
        loop {
            let task = self.start(this, method, &body, waiting).await?;
            match self.finish(&task, waiting).await {
                Err(VimError::Lost { .. }) if soap::harmless(method) && tries.next().is_some() => {}
                ended => return ended,
            }
        }
    }

    /// A task whose result is a new object.
    pub(super) async fn task_for(
        &self,
        this: &Ref,
        method: &str,
        body: impl Fn(&mut Xml),
        waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        let result = self.task(this, method, body, waiting).await?;
        result.as_reference().ok_or_else(|| {
            VimError::Protocol(format!("{method}: the task has no object as its result"))
        })
    }

    /// Starts a task.
    pub(super) async fn start(
        &self,
        this: &Ref,
        method: &str,
        body: impl FnOnce(&mut Xml),
        waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        if waiting.cancel.is_cancelled() {
            return Err(VimError::Cancelled);
        }
        let call = self.call(this, method, body);
        tokio::pin!(call);
        // The task is wanted even now: it must be known to be cancelled.
        let response = tokio::select! {
            response = &mut call => response,
            () = waiting.cancel.cancelled() => {
                timeout(STOPPING, call).await.unwrap_or(Err(VimError::Cancelled))
            }
        }?;
        response
            .reference_of("returnval")
            .ok_or_else(|| VimError::Protocol(format!("{method} gives no task")))
    }

    /// Waits for the end of a task.
    pub(super) async fn finish(
        &self,
        task: &Ref,
        waiting: &Waiting<'_>,
    ) -> Result<Element, VimError> {
        let mut told = None;
        let see = |seen: &Properties| {
            let info = seen.get("info")?;
            let percent = info
                .u64_of("progress")
                .and_then(|p| u8::try_from(p.min(100)).ok());
            if percent.is_some() && percent != told {
                told = percent;
                percent.into_iter().for_each(waiting.progress);
            }
            ended(info)
        };
        match self
            .watch(
                task,
                &["info"],
                Instant::now() + FOREVER,
                waiting.cancel,
                see,
            )
            .await
        {
            Ok(End::Success(result)) => Ok(result),
            Ok(End::Error(info)) => Err(self.why(&info).await),
            Err(VimError::Cancelled) => self.stop(task).await,
            // tasks are kept for hours, unless the server forgets all of them
            Err(error) if error.is("ManagedObjectNotFound") => Err(VimError::Lost {
                server: self.server().to_owned(),
                what: format!("`{}`", task.id),
            }),
            Err(error) => Err(error),
        }
    }

    /// Cancels a task and waits for its end.
    async fn stop(&self, task: &Ref) -> Result<Element, VimError> {
        let ending = async {
            // Not every task can be cancelled, and it may have ended by itself.
            let _ = self.call(task, "CancelTask", |_| {}).await;
            let see = |seen: &Properties| seen.get("info").and_then(ended);
            let deadline = Instant::now() + STOPPING;
            self.watch(task, &["info"], deadline, &Cancel::new(), see)
                .await
        };
        match timeout(STOPPING, ending).await {
            Ok(Ok(End::Success(result))) => Ok(result),
            _ => Err(VimError::Cancelled),
        }
    }

    /// Waits for the end of all tasks that make machines, whoever has begun them, but not longer than `limit`. Whether there
    /// were any.
    pub async fn let_machines_be_made(&self, limit: Duration) -> Result<bool, VimError> {
        const MAKING: &[&str] = &[
            "Folder.createVm",
            "VirtualMachine.clone",
            "ResourcePool.ImportVAppLRO",
        ];
        let Some(manager) = &self.content().task_manager else {
            return Ok(false);
        };
        let recent = self.read(manager, &["recentTask"]).await?;
        let recent = recent.references("recentTask");
        let told = self.read_many(&recent, &["info"]).await?;
        let making = told.into_iter().filter(|(_, read)| {
            let info = read.get("info");
            let kind = info.and_then(|info| info.text_of("descriptionId"));
            kind.is_some_and(|kind| MAKING.contains(&kind))
                && info.is_some_and(|i| ended(i).is_none())
        });
        let making: Vec<Ref> = making.map(|(task, _)| task).collect();
        let all = async {
            for task in &making {
                let see = |seen: &Properties| seen.get("info").and_then(ended);
                let deadline = Instant::now() + limit;
                // how it ended is for others to know
                let _ = self
                    .watch(task, &["info"], deadline, &Cancel::new(), see)
                    .await;
            }
        };
        let _ = timeout(limit, all).await;
        Ok(!making.is_empty())
    }

    /// Why a task failed: its fault, and what has happened to its object meanwhile.
    async fn why(&self, info: &Element) -> VimError {
        let mut fault = info.child("error").map_or_else(
            || Fault {
                kind: "MethodFault".into(),
                message: "the task failed without saying why".into(),
                detail: Element::default(),
            },
            Fault::localized,
        );
        let events = timeout(EVENTS, self.events(info)).await;
        for event in events.ok().and_then(Result::ok).unwrap_or_default() {
            if !fault.message.contains(&event) {
                fault.message.push_str("; ");
                fault.message.push_str(&event);
            }
        }
        fault.into()
    }

    /// The last events of a task's object since the task began; `EventManager.QueryEvents`.
    async fn events(&self, info: &Element) -> Result<Vec<String>, VimError> {
        let (Some(manager), Some(entity), Some(since)) = (
            &self.content().event_manager,
            info.reference_of("entity"),
            info.text_of("queueTime"),
        ) else {
            return Ok(Vec::new());
        };
        let response = self
            .call(manager, "QueryEvents", |xml| {
                xml.within("filter", |xml| {
                    xml.within("entity", |xml| {
                        xml.reference("entity", &entity)
                            .element("recursion", "self");
                    })
                    .within("time", |xml| {
                        xml.element("beginTime", since);
                    });
                });
            })
            .await?;
        let mut events: Vec<(i32, String)> = response
            .children_named("returnval")
            .filter(|event| event.kind.as_deref() != Some("TaskEvent"))
            .filter_map(|event| {
                let words = event.text_of("fullFormattedMessage")?.trim();
                (!words.is_empty())
                    .then(|| (event.i32_of("key").unwrap_or_default(), words.to_owned()))
            })
            .collect();
        events.sort();
        let last = events.split_off(events.len().saturating_sub(TOLD));
        Ok(last.into_iter().map(|(_, words)| words).collect())
    }
}

/// How a task has ended.
enum End {
    /// With its result.
    Success(Element),
    /// With all that its `TaskInfo` tells.
    Error(Box<Element>),
}

fn ended(info: &Element) -> Option<End> {
    match info.text_of("state")? {
        "success" => Some(End::Success(
            info.child("result").cloned().unwrap_or_default(),
        )),
        "error" => Some(End::Error(Box::new(info.clone()))),
        _ => None,
    }
}
