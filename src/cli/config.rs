//! `rehearsal.toml`: targets by name, with the way in to each. Reads and checks; starts nothing.
//!
//! A secret is best written as `${env:NAME}`, which is looked up only for the target that is used.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::keep::{AtBrowser, InFile};
use crate::client::{Entry, FormStep, Hidden, Keep, KnownClient, RestartCommand, Restarts, Target, Wallet};
use crate::model::Via;
use crate::wire::Command;

/// Where the file is looked for when nobody names one.
pub(super) const USUAL: &str = "rehearsal.toml";

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    targets: BTreeMap<String, TargetConfig>,
}

/// A server and how it is met.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TargetConfig {
    /// Its address, where it is not a command.
    pub(super) url: Option<Text>,
    /// The command that starts it, a word each.
    #[serde(default)]
    command: Vec<Text>,
    /// Variables of the command's environment.
    #[serde(default)]
    env: BTreeMap<String, Text>,
    /// The transport, where that is not the client's choice.
    pub(super) transport: Option<Via>,
    /// A file with certificates that are believed besides those of the system.
    pub(super) ca: Option<PathBuf>,
    /// Headers that every request carries besides.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Text>,
    /// Names or patterns of tools that may be called.
    #[serde(default)]
    pub(super) allow_tools: Vec<String>,
    /// The call to make where a scenario names none.
    pub(super) call: Option<Call>,
    /// Control endpoint, where it is a reference server.
    pub(super) control: Option<String>,
    /// Cases at once.
    pub(super) jobs: Option<usize>,
    /// Its nodes by their URLs, where it has several.
    #[serde(default)]
    pub(super) nodes: Vec<Text>,
    /// The command that ends it and starts it again, a word each.
    #[serde(default)]
    restart: Vec<Text>,
    /// The same of its store.
    #[serde(default)]
    restart_store: Vec<Text>,
    /// Whether its sessions are to outlive a restart.
    #[serde(default)]
    pub(super) durable_sessions: bool,
    client: Option<ClientConfig>,
    login: Option<Login>,
}

/// A tool and its arguments.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) tool: String,
    #[serde(default)]
    pub(super) arguments: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClientConfig {
    id: Text,
    secret: Option<Text>,
    auth_method: Option<String>,
    redirect_uri: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Automatic,
    Token,
    ClientCredentials,
    RefreshToken,
    Form,
    Browser,
    Issuer,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Login {
    way: Way,
    scope: Option<String>,
    token: Option<Text>,
    refresh_token: Option<Text>,
    refresh_token_file: Option<PathBuf>,
    steps: Option<Vec<Step>>,
    listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    fields: BTreeMap<String, Text>,
    press: Option<String>,
}

/// A text that may name variables of the environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Text(String);

impl Text {
    /// The text with its variables filled in; `place` tells where it stands.
    pub(super) fn filled(&self, place: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once("${env:") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("{place}: `${{env:` has no closing brace"))?;
            text.push_str(before);
            let value = std::env::var(name).map_err(|_| {
                format!("{place}: the variable {name} is not set; set it, or write the value where it is asked for")
            })?;
            text.push_str(&value);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

/// The way in to a target.
#[derive(Debug, Default)]
pub(super) struct WayIn {
    pub(super) entry: Entry,
    pub(super) client: Option<KnownClient>,
    pub(super) scope: Option<String>,
    /// Where this program is to serve as the target's authorization server.
    pub(super) issuer: Option<SocketAddr>,
}

/// Finds a target by name.
pub(super) fn find(name: &str, config: Option<&Path>) -> Result<TargetConfig, String> {
    let path = config.unwrap_or(Path::new(USUAL));
    let text = std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let names: Vec<String> = file.targets.keys().map(|name| format!("`{name}`")).collect();
    let none = || format!("{} has no target `{name}`; there are: {}", path.display(), names.join(", "));
    file.targets.get(name).cloned().ok_or_else(none)
}

impl TargetConfig {
    /// The command that starts it, where there is one.
    pub(super) fn command(&self, name: &str) -> Result<Option<Command>, String> {
        let place = format!("targets.{name}.command");
        let words: Result<Vec<String>, String> = self.command.iter().map(|word| word.filled(&place)).collect();
        let mut words = words?.into_iter();
        let Some(program) = words.next() else {
            let stray =
                (!self.env.is_empty()).then(|| format!("targets.{name}.env: there is no `command` that it is for"));
            return stray.map_or(Ok(None), Err);
        };
        let place = format!("targets.{name}.env");
        let environment = self.env.iter().map(|(key, value)| Ok((key.clone(), value.filled(&place)?)));
        let environment = environment.collect::<Result<_, String>>()?;
        Ok(Some(Command { program, arguments: words.collect(), environment }))
    }

    /// The command that restarts the target, or one of its nodes.
    pub(super) fn restarts(&self, name: &str, target: &Target) -> Result<Option<Arc<dyn Restarts>>, String> {
        let mut addresses: Vec<String> = target.nodes.iter().map(|node| node.address.clone()).collect();
        if addresses.is_empty() {
            addresses.push(target.place.to_string());
        }
        Self::hook(&self.restart, &format!("targets.{name}.restart"), target, addresses)
    }

    /// The command that restarts its store.
    pub(super) fn restarts_store(&self, name: &str, target: &Target) -> Result<Option<Arc<dyn Restarts>>, String> {
        Self::hook(&self.restart_store, &format!("targets.{name}.restart-store"), target, Vec::new())
    }

    fn hook(
        words: &[Text],
        place: &str,
        target: &Target,
        addresses: Vec<String>,
    ) -> Result<Option<Arc<dyn Restarts>>, String> {
        let words: Result<Vec<String>, String> = words.iter().map(|word| word.filled(place)).collect();
        let mut words = words?.into_iter();
        let Some(program) = words.next() else { return Ok(None) };
        if target.command.is_some() {
            return Err(format!("{place}: a server over stdio is started anew for each conversation; leave this out"));
        }
        Ok(Some(Arc::new(RestartCommand { program, arguments: words.collect(), addresses })))
    }

    /// What the file says of the way in, checked; `name` is the target's.
    pub(super) fn way_in(&self, name: &str) -> Result<WayIn, String> {
        let at = |field: &str| format!("targets.{name}.{field}");
        let client = self.client.as_ref().map(|client| client.known(name)).transpose()?;
        let Some(login) = &self.login else { return Ok(WayIn { client, ..WayIn::default() }) };
        login.only_what_belongs(name)?;
        let needs = |what: &str| format!("{}: this way in needs `{what}`", at("login"));
        let scope = login.scope.clone();
        let wallet = |start: Wallet| {
            let keep = login.refresh_token_file.clone().map(|path| Arc::new(InFile(path)) as Arc<dyn Keep>);
            Entry::Grant(Arc::new(start.kept_by(keep)))
        };
        let mut issuer = None;
        let entry = match login.way {
            Way::Automatic => Entry::Login,
            Way::Token => {
                let token = login.token.as_ref().ok_or_else(|| needs("token"))?;
                Entry::Token(Hidden(token.filled(&at("login.token"))?))
            }
            Way::ClientCredentials if client.is_none() => return Err(needs("client")),
            Way::ClientCredentials => Entry::ClientCredentials,
            Way::RefreshToken => wallet(Wallet::with_refresh(login.refresh(name)?)),
            Way::Form => {
                let steps = login.steps.as_ref().ok_or_else(|| needs("steps"))?;
                let steps: Result<Vec<FormStep>, String> = steps.iter().map(|step| step.known(name)).collect();
                Entry::Form(Arc::new(steps?))
            }
            Way::Browser => wallet(Wallet::of(Arc::new(AtBrowser))),
            Way::Issuer => {
                issuer = Some(login.listen.ok_or_else(|| needs("listen"))?);
                Entry::Login
            }
        };
        Ok(WayIn { entry, client, scope, issuer })
    }
}

impl ClientConfig {
    fn known(&self, name: &str) -> Result<KnownClient, String> {
        let at = |field: &str| format!("targets.{name}.client.{field}");
        let secret = self.secret.as_ref().map(|secret| secret.filled(&at("secret"))).transpose()?;
        let methods = ["none", "client_secret_basic", "client_secret_post"];
        if let Some(method) = self.auth_method.as_deref().filter(|method| !methods.contains(method)) {
            return Err(format!("{}: `{method}` is none of {}", at("auth-method"), methods.join(", ")));
        }
        Ok(KnownClient {
            id: self.id.filled(&at("id"))?,
            secret: secret.map(Hidden),
            method: self.auth_method.clone(),
            redirect_uri: self.redirect_uri.clone(),
        })
    }
}

impl Login {
    /// A member that this way in does not look at is a mistake that would go unnoticed.
    fn only_what_belongs(&self, name: &str) -> Result<(), String> {
        let there = [
            ("scope", self.scope.is_some(), self.way != Way::Token),
            ("token", self.token.is_some(), self.way == Way::Token),
            ("refresh-token", self.refresh_token.is_some(), self.way == Way::RefreshToken),
            (
                "refresh-token-file",
                self.refresh_token_file.is_some(),
                matches!(self.way, Way::RefreshToken | Way::Browser),
            ),
            ("steps", self.steps.is_some(), self.way == Way::Form),
            ("listen", self.listen.is_some(), self.way == Way::Issuer),
        ];
        match there.iter().find(|(_, given, belongs)| *given && !belongs) {
            Some((field, ..)) => Err(format!("targets.{name}.login: `{field}` means nothing to this way in")),
            None => Ok(()),
        }
    }

    /// The newest refresh token: that of the file, where it is there already, else the given one.
    fn refresh(&self, name: &str) -> Result<String, String> {
        let kept = self.refresh_token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        if let Some(kept) = kept.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
            return Ok(kept);
        }
        let given = self.refresh_token.as_ref().ok_or_else(|| {
            format!("targets.{name}.login: there is no refresh token; write `refresh-token = \"${{env:NAME}}\"`")
        })?;
        given.filled(&format!("targets.{name}.login.refresh-token"))
    }
}

impl Step {
    fn known(&self, name: &str) -> Result<FormStep, String> {
        let fields = self.fields.iter().map(|(field, value)| {
            let value = value.filled(&format!("targets.{name}.login.steps: field `{field}`"))?;
            Ok((field.clone(), Hidden(value)))
        });
        Ok(FormStep { fields: fields.collect::<Result<_, String>>()?, press: self.press.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way_in(login: &str) -> Result<WayIn, String> {
        let text = format!("[targets.t]\nurl = \"http://h/mcp\"\n{login}");
        let file: File = toml::from_str(&text).map_err(|error| error.to_string())?;
        file.targets["t"].way_in("t")
    }

    #[test]
    fn each_way_in_is_read() {
        let client = "client = { id = \"c\", secret = \"s\" }\n";
        let of = |login: &str| way_in(login).expect(login).entry;
        assert!(matches!(of(""), Entry::Login));
        assert!(matches!(of("login = { way = \"token\", token = \"t\" }"), Entry::Token(_)));
        let way = format!("{client}login = {{ way = \"client-credentials\" }}");
        assert!(matches!(of(&way), Entry::ClientCredentials));
        assert!(matches!(of("login = { way = \"refresh-token\", refresh-token = \"r\" }"), Entry::Grant(_)));
        assert!(matches!(of("login = { way = \"browser\" }"), Entry::Grant(_)));
        let form = "login = { way = \"form\", steps = [{ fields = { user = \"ada\" }, press = \"Log in\" }] }";
        let Entry::Form(steps) = of(form) else { panic!("another way in") };
        assert_eq!((steps[0].fields[0].0.as_str(), steps[0].press.as_deref()), ("user", Some("Log in")));
        let issuer = way_in("login = { way = \"issuer\", listen = \"127.0.0.1:9000\" }").expect("read");
        assert_eq!(issuer.issuer, Some(SocketAddr::from(([127, 0, 0, 1], 9000))));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let table = [
            ("login = { way = \"token\" }", "targets.t.login: this way in needs `token`"),
            ("login = { way = \"client-credentials\" }", "needs `client`"),
            ("login = { way = \"form\", steps = [], token = \"x\" }", "`token` means nothing to this way in"),
            ("login = { way = \"token\", token = \"${env:REHEARSAL_NOT_SET}\" }", "REHEARSAL_NOT_SET is not set"),
            ("login = { way = \"token\", token = \"${env:X\" }", "no closing brace"),
            ("login = { way = \"refresh-token\" }", "there is no refresh token"),
            ("login = { way = \"magic\" }", "magic"),
            ("client = { id = \"c\", auth-method = \"mtls\" }", "`mtls` is none of"),
            ("logins = 1", "logins"),
        ];
        for (login, words) in table {
            let error = way_in(login).err().unwrap_or_else(|| panic!("{login} was taken"));
            assert!(error.contains(words), "{login}: {error}");
        }
    }
}
