//! A session with a server that follows a script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use url::Url;

use crate::model::Secret;
use crate::sys::Cancel;
use crate::vim::{Client, Endpoint, Ref, Trust, VimError, Waiting, WhileAway};

const PASSWORD: &str = "hunter2&<";

/// What the server does, and what it has been asked.
#[derive(Default)]
struct Script {
    calls: BTreeMap<String, u32>,
    /// The session that counts.
    session: u32,
    /// Whether logins are refused.
    refuse: bool,
    /// How many answers to a method are a proxy's.
    gone: BTreeMap<&'static str, u32>,
    /// What a proxy says.
    proxy: &'static str,
    task: u32,
}

type Shared = Arc<Mutex<Script>>;

fn soap(status: u16, body: &str) -> Response {
    let text = format!(
        "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    );
    (StatusCode::from_u16(status).unwrap(), text).into_response()
}

fn fault(kind: &str) -> Response {
    soap(
        500,
        &format!(
            "<soapenv:Fault><faultcode>x</faultcode><faultstring>told {kind}</faultstring><detail>\
             <{kind}Fault xsi:type=\"{kind}\"/></detail></soapenv:Fault>"
        ),
    )
}

async fn serve(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let Some(method) = body
        .split("<soapenv:Body><")
        .nth(1)
        .and_then(|b| b.split(' ').next())
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut script = shared.lock().unwrap();
    *script.calls.entry(method.to_owned()).or_default() += 1;
    let proxy = script.proxy;
    if let Some(left) = script.gone.get_mut(method)
        && *left > 0
    {
        *left -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, proxy).into_response();
    }
    let cookie = format!("vmware_soap_session=\"s{}\"", script.session);
    let known = headers.get("cookie").is_some_and(|c| c == cookie.as_str());
    let answer = |inside: &str| {
        soap(
            200,
            &format!("<{method}Response xmlns=\"urn:vim25\">{inside}</{method}Response>"),
        )
    };
    match method {
        "RetrieveServiceContent" => answer(
            "<returnval><rootFolder type=\"Folder\">f</rootFolder>\
             <propertyCollector type=\"PropertyCollector\">pc</propertyCollector>\
             <about><fullName>Fake</fullName><version>8.0.3</version><apiType>VirtualCenter</apiType></about>\
             <sessionManager type=\"SessionManager\">sm</sessionManager></returnval>",
        ),
        "Login" if script.refuse || !body.contains("<password>hunter2&amp;&lt;</password>") => {
            fault("InvalidLogin")
        }
        "Login" => {
            script.session += 1;
            let mut response = answer("<returnval><key>k</key></returnval>");
            let cookie = format!(
                "vmware_soap_session=\"s{}\"; Path=/; HttpOnly",
                script.session
            );
            response
                .headers_mut()
                .insert("set-cookie", cookie.parse().unwrap());
            response
        }
        _ if !known => fault("NotAuthenticated"),
        "CreatePropertyCollector" => {
            answer("<returnval type=\"PropertyCollector\">own</returnval>")
        }
        "CreateFilter" => answer("<returnval type=\"PropertyFilter\">pf</returnval>"),
        "RunIt_Task" => answer("<returnval type=\"Task\">task-1</returnval>"),
        "WaitForUpdatesEx" => {
            script.task += 1;
            answer(&update(script.task))
        }
        _ => answer("<returnval>done</returnval>"),
    }
}

/// A task that is running at first, then half done, then successful.
fn update(step: u32) -> String {
    let changes: &[(&str, &str)] = match step {
        1 => &[("info", "<val><state>running</state></val>")],
        2 => &[("info.progress", "<val>50</val>")],
        _ => &[
            ("info.result", "<val type=\"VirtualMachine\">vm-9</val>"),
            ("info.state", "<val>success</val>"),
        ],
    };
    let set: String = (changes.iter())
        .map(|(name, val)| {
            format!("<changeSet><name>{name}</name><op>assign</op>{val}</changeSet>")
        })
        .collect();
    format!(
        "<returnval><version>{step}</version><filterSet><filter type=\"PropertyFilter\">pf</filter><objectSet>\
         <kind>modify</kind><obj type=\"Task\">task-1</obj>{set}</objectSet></filterSet></returnval>"
    )
}

async fn server() -> (Shared, Url) {
    let shared = Shared::default();
    let app = Router::new()
        .fallback(serve)
        .with_state(Arc::clone(&shared));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (shared, Url::parse(&url).unwrap())
}

fn endpoint() -> Endpoint {
    Endpoint {
        server: "fake".into(),
        username: "user".into(),
        password: Secret::new(PASSWORD),
        trust: Trust::Verify,
        ca_file: None,
    }
}

async fn connected() -> (Shared, Client) {
    let (shared, url) = server().await;
    let client = Client::open(&endpoint(), url, WhileAway::default())
        .await
        .unwrap();
    (shared, client)
}

fn calls(shared: &Shared, method: &str) -> u32 {
    shared
        .lock()
        .unwrap()
        .calls
        .get(method)
        .copied()
        .unwrap_or_default()
}

fn vm() -> Ref {
    Ref::new("VirtualMachine", "vm-1")
}

#[tokio::test]
async fn an_ended_session_is_renewed_once_for_all() {
    let (shared, client) = connected().await;
    assert_eq!(client.about().version, "8.0.3");
    shared.lock().unwrap().session = 100;
    let vm = vm();
    let call = || client.call(&vm, "Poke", |_| {});
    let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok(), "{a:?}");
    assert_eq!(a.unwrap().returned().unwrap().text, "done");
    assert_eq!(calls(&shared, "Login"), 2);
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again_and_tells_no_secret() {
    let (shared, client) = connected().await;
    {
        let mut script = shared.lock().unwrap();
        (script.session, script.refuse) = (100, true);
    }
    for _ in 0..3 {
        let error = client.call(&vm(), "Poke", |_| {}).await.unwrap_err();
        assert!(
            matches!(&error, VimError::Login(why) if why == "told InvalidLogin"),
            "{error}"
        );
        let all = format!(
            "{error}{error:?}{client:?}{:?}{:?}",
            error.help(),
            endpoint()
        );
        assert!(!all.contains("hunter2"), "{all}");
    }
    assert_eq!(
        calls(&shared, "Login"),
        2,
        "an account must not be locked by us"
    );
}

#[tokio::test]
async fn only_harmless_calls_are_sent_again() {
    let (shared, client) = connected().await;
    let gone = |method, proxy| {
        let mut script = shared.lock().unwrap();
        script.proxy = proxy;
        script.gone.insert(method, 1);
    };
    gone("QueryIt", "bad gateway");
    assert!(client.call(&vm(), "QueryIt", |_| {}).await.is_ok());
    assert_eq!(calls(&shared, "QueryIt"), 2);
    gone("Poke", "bad gateway");
    let error = client.call(&vm(), "Poke", |_| {}).await.unwrap_err();
    assert!(
        matches!(error, VimError::Http { status: 503, .. }),
        "{error}"
    );
    assert!(error.is_transient());
    gone("Prod", "503 (Failed to connect to endpoint: [x])");
    assert!(client.call(&vm(), "Prod", |_| {}).await.is_ok());
}

#[tokio::test]
async fn a_task_goes_on_through_a_broken_wait() {
    let (shared, client) = connected().await;
    shared.lock().unwrap().gone.insert("WaitForUpdatesEx", 1);
    let told = Mutex::new(Vec::new());
    let cancel = Cancel::new();
    let waiting = Waiting {
        cancel: &cancel,
        progress: &|percent| told.lock().unwrap().push(percent),
    };
    let result = client
        .task(&vm(), "RunIt_Task", |_| {}, &waiting)
        .await
        .unwrap();
    assert_eq!(
        result.as_reference(),
        Some(Ref::new("VirtualMachine", "vm-9"))
    );
    assert_eq!(told.into_inner().unwrap(), [50]);
    assert_eq!(calls(&shared, "RunIt_Task"), 1);
    assert_eq!(calls(&shared, "CreatePropertyCollector"), 2);
    cancel.cancel(crate::sys::CancelKind::Graceful);
    let stopped = client
        .task(&vm(), "RunIt_Task", |_| {}, &Waiting::quiet(&cancel))
        .await;
    assert!(matches!(stopped, Err(VimError::Cancelled)));
    assert_eq!(calls(&shared, "RunIt_Task"), 1);
}

#[tokio::test]
async fn a_wait_ends_at_its_deadline() {
    let (_shared, client) = connected().await;
    let deadline = Instant::now() + Duration::from_millis(300);
    let task = Ref::new("Task", "task-1");
    let seen = client
        .watch(&task, &["info"], deadline, &Cancel::new(), |_| None::<()>)
        .await;
    assert!(matches!(seen, Err(VimError::Timeout(_))), "{seen:?}");
}

#[tokio::test]
async fn after_logout_nobody_logs_in_again() {
    let (shared, client) = connected().await;
    let copy = client.clone();
    client.logout().await;
    client.logout().await;
    assert_eq!(calls(&shared, "Logout"), 1);
    shared.lock().unwrap().session = 100;
    let error = copy.call(&vm(), "Poke", |_| {}).await.unwrap_err();
    assert!(matches!(error, VimError::Login(_)), "{error}");
    assert_eq!(calls(&shared, "Login"), 1);
}

#[tokio::test]
async fn a_cancelled_connect_returns_at_once() {
    let around = WhileAway::default();
    around.cancel.cancel(crate::sys::CancelKind::Graceful);
    let made = Client::connect(&endpoint(), &around).await;
    assert!(matches!(made, Err(VimError::Cancelled)));
}
