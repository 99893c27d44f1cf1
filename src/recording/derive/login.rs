//! How the client came by its token, as far as the recording shows it.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::seen::Seen;
use crate::profile::Profile;
use crate::transcript::Exchange;

/// What was seen of a login, and which members nothing was seen of.
pub(super) struct Login {
    pub(super) value: Value,
    pub(super) unseen: Vec<String>,
}

fn path(exchange: &Exchange) -> &str {
    exchange.target.split('?').next().unwrap_or(&exchange.target)
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

impl<'v> Seen<'v> {
    fn all(&self) -> impl Iterator<Item = &'v Exchange> {
        self.view.exchanges.iter()
    }

    fn documents(&self, kind: &'static str) -> impl Iterator<Item = &'v Exchange> {
        self.all().filter(move |exchange| exchange.method == "GET" && path(exchange).contains(kind))
    }

    /// Requests to an endpoint that the metadata names.
    fn to(&self, name: &'static str) -> Vec<&'v Exchange> {
        let documents =
            self.documents("/.well-known/oauth-authorization-server").chain(self.documents("/.well-known/openid"));
        let urls: Vec<String> = documents.filter_map(|one| one.got_json()?[name].as_str().map(str::to_owned)).collect();
        let fits =
            |exchange: &&Exchange| urls.iter().any(|url| url.ends_with(path(exchange)) && path(exchange).len() > 1);
        self.all().filter(fits).collect()
    }

    /// Everything that was seen of the login; nothing where there was none. What was not seen is as `base` has it.
    pub(super) fn login(&self, base: &Profile) -> Option<Login> {
        let asked = self.to("authorization_endpoint").into_iter().find(|exchange| !exchange.query().is_empty())?;
        let param = |name: &str| asked.query().iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let refused = self.all().find(|exchange| exchange.status == Some(401));
        let metadata: Vec<&Exchange> = self.documents("/.well-known/oauth-protected-resource").collect();
        let challenge = refused.and_then(|one| one.got_header("www-authenticate")).unwrap_or_default();
        let registered = self.to("registration_endpoint").into_iter().find_map(Exchange::sent_json);
        let tokens = self.to("token_endpoint");
        let forms: Vec<Vec<(String, String)>> = tokens
            .iter()
            .filter_map(|exchange| exchange.body.as_deref())
            .map(|body| form_urlencoded::parse(body.as_bytes()).into_owned().collect())
            .collect();
        let of_grant = |grant: &str| {
            let is =
                |form: &&Vec<(String, String)>| form.iter().any(|(name, value)| name == "grant_type" && value == grant);
            forms.iter().find(is)
        };
        let has_resource = |form: &Vec<(String, String)>| form.iter().any(|(name, _)| name == "resource");

        let mut value = serde_json::to_value(&base.oauth.value).unwrap_or_default();
        let mut unseen: Vec<String> =
            ["on_step_up", "on_dead_refresh", "refresh_before_s", "revokes"].map(str::to_owned).into_iter().collect();
        let mut set = |name: &str, found: Option<Value>| match found {
            Some(found) => value[name] = found,
            None => unseen.push(name.to_owned()),
        };
        let challenged = refused.is_some_and(|one| metadata.first().is_none_or(|first| one.seq < first.seq));
        set("begins", Some(json!(if challenged { "challenge" } else { "metadata" })));
        // Where the challenge names the place, the client need not look for it.
        set("resource_metadata", (!challenge.contains("resource_metadata")).then(|| places(&metadata)));
        let client = param("client_id").unwrap_or_default();
        let by_document = client.contains("://");
        let way = if by_document { "document" } else { "dynamic" };
        set("registration", (by_document || registered.is_some()).then(|| json!([way])));
        set("document", Some(if by_document { json!(client) } else { Value::Null }));
        let member = |name: &str| registered.map(|sent| sent.get(name).cloned().unwrap_or(Value::Null));
        set("client_name", member("client_name").filter(Value::is_string));
        set("client_auth", member("token_endpoint_auth_method"));
        set("application_type", member("application_type"));
        set("redirect_uri", param("redirect_uri").map(Value::from));
        set("prompt", Some(param("prompt").map_or(Value::Null, Value::from)));
        let scope = words(&param("scope").unwrap_or_default());
        let offline = scope.iter().any(|word| word == "offline_access");
        set("offline_access", Some(json!(offline)));
        set("scope", Some(json!(scope_from(&scope, challenge, &metadata))));
        let mut carries = Vec::new();
        if param("resource").is_some() {
            carries.push("authorize");
        }
        if of_grant("authorization_code").is_some_and(has_resource) {
            carries.push("token");
        }
        let refreshes = of_grant("refresh_token");
        let as_base = base.oauth.value.resource_in.contains(&crate::profile::CarriesResource::Refresh);
        if refreshes.map_or(as_base, has_resource) {
            carries.push("refresh");
        }
        set("resource_in", Some(json!(carries)));
        Some(Login { value, unseen })
    }
}

/// The places at which the metadata of the resource was looked for.
fn places(metadata: &[&Exchange]) -> Value {
    let mut found: Vec<&str> = Vec::new();
    for exchange in metadata {
        let kind = match path(exchange).split_once("/.well-known/oauth-protected-resource") {
            Some(("", "" | "/")) => "root",
            Some(("", _)) => "path-inserted",
            _ => "path-appended",
        };
        if !found.contains(&kind) {
            found.push(kind);
        }
    }
    json!(found)
}

/// From where the client took the scopes that it asks for.
fn scope_from(scope: &[String], challenge: &str, metadata: &[&Exchange]) -> &'static str {
    let own: Vec<&String> = scope.iter().filter(|word| *word != "offline_access").collect();
    if own.is_empty() {
        return "nothing";
    }
    let supported = metadata.iter().find_map(|one| Some(list(&one.got_json()?["scopes_supported"])));
    let hinted = challenge.split("scope=\"").nth(1).and_then(|rest| rest.split('"').next()).map(words);
    let is = |known: &Vec<String>| known.iter().collect::<Vec<_>>() == own;
    match (hinted, supported) {
        (Some(hinted), _) if is(&hinted) => "challenge",
        (Some(_), Some(supported)) if is(&supported) => "supported",
        _ => "challenge",
    }
}
