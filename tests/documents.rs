//! Client ID metadata documents, served on this machine and read by the reference authorization server.

use std::time::Duration;

use mcp_rehearsal::model::{HybridClock, Rng};
use mcp_rehearsal::server::{AuthConfig, Consent, RunningServer, ServerConfig, start};
use reqwest::Client;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// What SHA-256 makes of the verifier in RFC 7636.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://127.0.0.1:7777/callback";

struct Stage {
    server: RunningServer,
    site: MockServer,
    http: Client,
}

async fn stage(consent: Consent, loopback: bool) -> Stage {
    let auth = AuthConfig { consent, documents_on_loopback: loopback, ..AuthConfig::default() };
    let config = ServerConfig { auth: Some(auth), ..ServerConfig::default() };
    let server = start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port");
    let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("client");
    Stage { server, site: MockServer::start().await, http }
}

impl Stage {
    fn client(&self) -> String {
        format!("{}/client.json", self.site.uri())
    }

    fn document(&self) -> Value {
        json!({"client_id": self.client(), "client_name": "Described", "redirect_uris": [REDIRECT]})
    }

    /// What the site answers from here on.
    async fn serve(&self, answer: ResponseTemplate) {
        self.site.reset().await;
        Mock::given(method("GET")).and(path("/client.json")).respond_with(answer).mount(&self.site).await;
    }

    /// Status, place and page of an authorization request.
    async fn authorize(&self, redirect: &str) -> (u16, Option<String>, String) {
        let client = self.client();
        let pairs = [
            ("response_type", "code"),
            ("client_id", client.as_str()),
            ("redirect_uri", redirect),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let asked = self.http.get(format!("http://{}/authorize?{query}", self.server.addr())).send();
        let answer = asked.await.expect("answer");
        let place = answer.headers().get("location").map(|place| place.to_str().expect("ascii").to_owned());
        (answer.status().as_u16(), place, answer.text().await.expect("text"))
    }

    async fn granted(&self) -> bool {
        let (status, place, _) = self.authorize(REDIRECT).await;
        status == 302 && place.is_some_and(|place| place.starts_with(REDIRECT) && place.contains("code="))
    }

    /// The request has to end on a page that says why.
    async fn refused(&self, redirect: &str, why: &str) {
        let (status, place, page) = self.authorize(redirect).await;
        assert_eq!((status, place), (400, None), "{why}: {page}");
        assert!(page.contains(why), "{why}: {page}");
    }

    /// How often the document was fetched since the site last changed.
    async fn fetched(&self) -> usize {
        self.site.received_requests().await.expect("recorded").len()
    }
}

fn json_with(document: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(document)
}

#[tokio::test]
async fn a_client_is_what_its_document_says() {
    let stage = stage(Consent::Automatic, true).await;
    stage.serve(json_with(&stage.document())).await;
    assert!(stage.granted().await);
    stage.refused("https://evil.example.com/callback", "redirect_uri is not one").await;
}

#[tokio::test]
async fn a_wrong_document_is_refused_and_not_kept() {
    let stage = stage(Consent::Automatic, true).await;
    let mut other = stage.document();
    other["client_id"] = json!(format!("{}/other.json", stage.site.uri()));
    let mut secret = stage.document();
    secret["client_secret"] = json!("x");
    let mut large = stage.document();
    large["client_uri"] = json!(format!("https://a.example/{}", "x".repeat(6000)));
    let lasting = |answer: ResponseTemplate| answer.insert_header("cache-control", "max-age=3600");
    for (answer, why) in [
        (json_with(&other), "client_id is not its own URL"),
        (json_with(&secret), "contains a client_secret"),
        (json_with(&json!({"client_id": stage.client()})), "redirect_uris"),
        (json_with(&large), "larger than"),
        (ResponseTemplate::new(200).set_body_string("<p>Hello</p>"), "no JSON object"),
        (ResponseTemplate::new(404), "404 instead of 200"),
        (ResponseTemplate::new(500), "500 instead of 200"),
        (ResponseTemplate::new(302).insert_header("location", "/moved.json"), "302 instead of 200"),
    ] {
        stage.serve(lasting(answer)).await;
        stage.refused(REDIRECT, why).await;
        assert_eq!(stage.fetched().await, 1, "{why}: redirects are not followed");
        stage.refused(REDIRECT, why).await;
        assert_eq!(stage.fetched().await, 2, "{why}: neither errors nor wrong documents are kept");
    }
    stage.serve(json_with(&stage.document())).await;
    assert!(stage.granted().await, "what was refused before is asked for again");
}

#[tokio::test]
async fn a_document_is_kept_as_its_headers_say() {
    let stage = stage(Consent::Automatic, true).await;
    for (header, fetches) in [("no-store", 2), ("no-cache, max-age=60", 2), ("max-age=0", 2), ("public, max-age=60", 1)]
    {
        stage.serve(json_with(&stage.document()).insert_header("cache-control", header)).await;
        assert!(stage.granted().await && stage.granted().await, "{header}");
        assert_eq!(stage.fetched().await, fetches, "{header}");
    }
    stage.server.clock().advance(Duration::from_secs(61));
    assert!(stage.granted().await);
    assert_eq!(stage.fetched().await, 2, "its time was over");
}

#[tokio::test]
async fn a_slow_site_is_not_waited_for() {
    let stage = stage(Consent::Automatic, true).await;
    stage.serve(json_with(&stage.document()).set_delay(Duration::from_secs(60))).await;
    let refused = tokio::time::timeout(Duration::from_secs(20), stage.refused(REDIRECT, "cannot be fetched"));
    refused.await.expect("an answer long before the site has one");
}

#[tokio::test]
async fn this_machine_is_asked_only_in_rehearsals() {
    let stage = stage(Consent::Automatic, false).await;
    stage.serve(json_with(&stage.document())).await;
    stage.refused(REDIRECT, "has to be https").await;
    assert_eq!(stage.fetched().await, 0);
}

#[tokio::test]
async fn the_page_shows_who_describes_the_client_and_where_it_leads() {
    let stage = stage(Consent::Page, true).await;
    stage.serve(json_with(&stage.document())).await;
    let (status, _, page) = stage.authorize(REDIRECT).await;
    assert_eq!(status, 200);
    for shown in ["Described at</dt><dd>127.0.0.1", "Sends you back to</dt><dd>127.0.0.1", "runs on your own computer"]
    {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let mut hosted = stage.document();
    hosted["redirect_uris"] = json!(["https://app.example.com/callback"]);
    stage.serve(json_with(&hosted)).await;
    let (_, _, page) = stage.authorize("https://app.example.com/callback").await;
    assert!(page.contains("Sends you back to</dt><dd>app.example.com") && !page.contains("runs on your own computer"));
}
