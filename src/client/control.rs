//! The control endpoint of a reference server elsewhere: what is asked of it leaves no trace in the transcript.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// How long it may take to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Posts JSON to a place below the endpoint; gives status and JSON of the answer, or in plain words why there is none.
pub(super) async fn ask(base: &str, place: &str, body: &impl Serialize) -> Result<(u16, Value), String> {
    let unanswered = |error: reqwest::Error| format!("the control endpoint did not answer: {error}");
    // The HTTP library wants to know this even where nothing is encrypted; an error says that it does already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build().map_err(unanswered)?;
    let answer = client.post(format!("{base}/{place}")).json(body).send().await.map_err(unanswered)?;
    let status = answer.status().as_u16();
    Ok((status, answer.json().await.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wiremock::matchers::{body_json, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn an_answer_comes_or_the_reason_why_not() {
        let server = MockServer::start().await;
        let clock = Mock::given(path("/control/clock")).and(body_json(json!({"advance_ms": 5})));
        clock.respond_with(ResponseTemplate::new(200).set_body_json(json!({"offset_ms": 5}))).mount(&server).await;
        let base = format!("{}/control", server.uri());
        assert_eq!(ask(&base, "clock", &json!({"advance_ms": 5})).await, Ok((200, json!({"offset_ms": 5}))));
        assert_eq!(ask(&base, "elsewhere", &json!({})).await, Ok((404, Value::Null)));
        let why = ask("http://127.0.0.1:1/control", "clock", &json!({})).await.expect_err("nobody is there");
        assert!(why.contains("did not answer"), "{why}");
    }
}
