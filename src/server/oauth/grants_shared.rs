//! Grants and codes in the store that all nodes share.
//!
//! A grant is a hash. Each generation of its refresh token is a field of its own that is set once, so that of two nodes
//! that rotate at the same moment one wins, and the other sees the repetition of a lost answer. Everything else that
//! changes only ever grows, so the order of writes does not matter.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::error::OAuthError;
use super::grant::{Check, Code, Family, Grant, GrantId, REPLAY_SEEN, Rotated, Terms, dead, unknown_code};
use crate::server::store::{Shared, StoreError};

/// How long a key is kept after all that it is about is over.
const MARGIN: Duration = Duration::from_secs(60);
/// How many generations of a refresh token are kept.
const GENERATIONS: u32 = 8;
/// How often a rotation is tried again that another node was quicker with.
const TRIES: usize = 4;

/// Grants and codes that every node sees.
#[derive(Debug)]
pub(super) struct SharedGrants(Shared);

impl From<StoreError> for OAuthError {
    fn from(_: StoreError) -> Self {
        let nobody = Self::invalid_request("the store of the grants cannot be reached");
        Self { code: "temporarily_unavailable", status: 503, ..nobody }
    }
}

impl SharedGrants {
    pub(super) fn at(shared: Shared) -> Self {
        Self(shared)
    }

    pub(super) async fn count(&self) -> Result<(usize, usize), OAuthError> {
        let codes = self.0.keys("code:").await?;
        Ok((self.0.keys("grant:").await?.len(), codes.iter().filter(|key| !key.ends_with(":used")).count()))
    }

    pub(super) async fn keep_code(&self, text: &str, code: &Code, now: Duration) -> Result<(), OAuthError> {
        let keep = code.expires.saturating_sub(now) + REPLAY_SEEN;
        let written = serde_json::to_string(code).map_err(|_| unknown_code())?;
        self.0.put(&code_key(text), &written, keep).await?;
        if let Some(challenge) = &code.challenge {
            self.0.put(&asked_key(&code.client, challenge), &hash(text), keep).await?;
        }
        Ok(())
    }

    pub(super) async fn code(&self, text: &str) -> Result<Option<Code>, OAuthError> {
        let written = self.0.text(&code_key(text)).await?;
        Ok(written.and_then(|written| serde_json::from_str(&written).ok()))
    }

    pub(super) async fn unused(&self, text: &str, now: Duration) -> Result<bool, OAuthError> {
        let living = self.code(text).await?.is_some_and(|code| code.expires > now);
        Ok(living && self.0.text(&used_key(&code_key(text))).await?.is_none())
    }

    pub(super) async fn take_back(&self, client: &str, challenge: &str) -> Result<(), OAuthError> {
        if let Some(hashed) = self.0.take(&asked_key(client, challenge)).await? {
            let key = format!("code:{{{hashed}}}");
            if self.0.text(&used_key(&key)).await?.is_none() {
                self.0.forget(&key).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn redeem(
        &self,
        text: &str,
        grant: &Grant,
        now: Duration,
        id: GrantId,
    ) -> Result<GrantId, OAuthError> {
        let code = self.code(text).await?.ok_or_else(unknown_code)?;
        let key = used_key(&code_key(text));
        let over = code.expires <= now;
        // The grant first: whoever comes second at another node has to find it, to end it.
        if !over {
            self.add(grant, now, id).await?;
        }
        if !self.0.put_first(&key, &name(&id), code.expires.saturating_sub(now) + REPLAY_SEEN).await? {
            if !over {
                self.0.forget(&grant_key(&id)).await?;
            }
            if let Some(before) = self.0.text(&key).await?.as_deref().and_then(id_of) {
                self.change(&before, now, |grant| grant.revoked = true).await?;
            }
            return Err(unknown_code());
        }
        if over { Err(unknown_code()) } else { Ok(id) }
    }

    pub(super) async fn add(&self, grant: &Grant, now: Duration, id: GrantId) -> Result<GrantId, OAuthError> {
        self.0.set(&grant_key(&id), &fields(grant), &[], keep(grant, now)).await?;
        Ok(id)
    }

    pub(super) async fn get(&self, id: &GrantId) -> Result<Option<Grant>, OAuthError> {
        Ok(read(&self.0.fields(&grant_key(id)).await?))
    }

    pub(super) async fn rotate(
        &self,
        id: &GrantId,
        generation: u32,
        now: Duration,
        terms: Terms<'_>,
        check: &mut Check<'_>,
    ) -> Result<Rotated, OAuthError> {
        for _ in 0..TRIES {
            let before = self.get(id).await?.ok_or_else(dead)?;
            let mut grant = before.clone();
            let turned = grant.turn(generation, now, terms, check);
            let generation_before = before.refresh.as_ref().map(|family| family.generation);
            if let Some(family) = grant.refresh.as_ref().filter(|family| Some(family.generation) != generation_before) {
                let (field, since) = (generation_field(family.generation), millis(family.since).to_string());
                if !self.0.set_first(&grant_key(id), &field, &since, keep(&grant, now)).await? {
                    // Another node was quicker; what it made is what this one repeats.
                    continue;
                }
            }
            self.write(id, &before, &grant, now).await?;
            return turned.map(|generation| Rotated { id: *id, grant, generation });
        }
        Err(StoreError::Away.into())
    }

    /// Changes a grant in a way that does not depend on what others change of it.
    pub(super) async fn change(
        &self,
        id: &GrantId,
        now: Duration,
        change: impl FnOnce(&mut Grant) + Send,
    ) -> Result<(), OAuthError> {
        let Some(before) = self.get(id).await? else { return Ok(()) };
        let mut grant = before.clone();
        change(&mut grant);
        self.write(id, &before, &grant, now).await
    }

    /// Writes what differs.
    async fn write(&self, id: &GrantId, before: &Grant, grant: &Grant, now: Duration) -> Result<(), OAuthError> {
        let (old, new) = (fields(before), fields(grant));
        let changed: Vec<(String, String)> = new.iter().filter(|field| !old.contains(field)).cloned().collect();
        let kept = |name: &String| new.iter().any(|(other, _)| other == name) || is_kept(name, grant);
        let gone: Vec<String> = old.into_iter().map(|(name, _)| name).filter(|name| !kept(name)).collect();
        let oldest = grant.refresh.as_ref().and_then(|family| family.generation.checked_sub(GENERATIONS));
        let gone: Vec<String> = gone.into_iter().chain(oldest.map(generation_field)).collect();
        if !changed.is_empty() || !gone.is_empty() {
            self.0.set(&grant_key(id), &changed, &gone, keep(grant, now)).await?;
        }
        Ok(())
    }

    pub(super) async fn revoke_all(&self, now: Duration) -> Result<usize, OAuthError> {
        let ids: Vec<GrantId> = self.0.keys("grant:").await?.iter().filter_map(|key| id_of_key(key)).collect();
        for id in &ids {
            self.change(id, now, |grant| grant.revoked = true).await?;
        }
        Ok(ids.len())
    }
}

/// Whether a field stays although the grant does not say it any more: generations before the one in force.
fn is_kept(field: &str, grant: &Grant) -> bool {
    field.starts_with("generation:") && grant.refresh.is_some()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn name(id: &GrantId) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn id_of(name: &str) -> Option<GrantId> {
    let byte = |at: usize| u8::from_str_radix(name.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..16).map_while(byte).collect();
    bytes.try_into().ok().filter(|_| name.len() == 32)
}

fn grant_key(id: &GrantId) -> String {
    format!("grant:{{{}}}", name(id))
}

fn id_of_key(key: &str) -> Option<GrantId> {
    id_of(key.strip_prefix("grant:{")?.strip_suffix('}')?)
}

/// A text that says nothing of the one it stands for: codes are as good as tokens while they live.
fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

fn code_key(text: &str) -> String {
    format!("code:{{{}}}", hash(text))
}

fn used_key(code_key: &str) -> String {
    format!("{code_key}:used")
}

fn asked_key(client: &str, challenge: &str) -> String {
    format!("asked:{{{}}}", hash(&format!("{client} {challenge}")))
}

fn generation_field(generation: u32) -> String {
    format!("generation:{generation}")
}

/// How long a grant is kept from now on.
fn keep(grant: &Grant, now: Duration) -> Duration {
    let family = grant.refresh.as_ref().map_or(Duration::ZERO, |family| family.expires);
    grant.over.max(family).saturating_sub(now) + MARGIN
}

fn fields(grant: &Grant) -> Vec<(String, String)> {
    let list = |texts: &[String]| serde_json::json!(texts).to_string();
    let field = |name: &str, value: String| (name.to_owned(), value);
    let mut fields = vec![
        field("client", grant.client.clone()),
        field("subject", grant.subject.clone()),
        field("scopes", list(&grant.scopes)),
        field("resources", list(&grant.resources)),
        field("over", millis(grant.over).to_string()),
    ];
    if grant.revoked {
        fields.push(field("revoked", "1".to_owned()));
    }
    if let Some(family) = &grant.refresh {
        fields.push(field("expires", millis(family.expires).to_string()));
        fields.push((generation_field(family.generation), millis(family.since).to_string()));
    }
    fields
        .extend(grant.revoked_access.iter().map(|(serial, end)| (format!("dead:{serial}"), millis(*end).to_string())));
    fields
}

/// A grant as it was read; `None` where there is none, or something of it makes no sense.
fn read(fields: &HashMap<String, String>) -> Option<Grant> {
    let time = |text: &String| text.parse().map(Duration::from_millis).ok();
    let list = |name: &str| serde_json::from_str::<Vec<String>>(fields.get(name)?).ok();
    let numbered = |prefix: &'static str| {
        fields
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?.parse::<u64>().ok()?, time(value)?)))
    };
    let family = || {
        let (generation, since) = numbered("generation:").max_by_key(|(generation, _)| *generation)?;
        Some(Family {
            generation: u32::try_from(generation).ok()?,
            since,
            expires: fields.get("expires").and_then(time)?,
        })
    };
    Some(Grant {
        client: fields.get("client")?.clone(),
        subject: fields.get("subject")?.clone(),
        scopes: list("scopes")?,
        resources: list("resources")?,
        revoked: fields.contains_key("revoked"),
        refresh: family(),
        revoked_access: numbered("dead:").collect(),
        over: fields.get("over").and_then(time)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_back_with_the_newest_generation() {
        let at = Duration::from_millis;
        let grant = Grant {
            client: "c".to_owned(),
            subject: "s".to_owned(),
            scopes: vec!["mcp:read".to_owned()],
            resources: Vec::new(),
            revoked: true,
            refresh: Some(Family { generation: 12, since: at(7), expires: at(9) }),
            revoked_access: vec![(u64::MAX, at(3))],
            over: at(9),
        };
        let mut written: HashMap<String, String> = fields(&grant).into_iter().collect();
        written.insert(generation_field(9), "1".to_owned());
        assert_eq!(read(&written), Some(grant));
        written.remove("over");
        assert_eq!(read(&written), None);
        assert_eq!(id_of_key(&grant_key(&[0xa5; 16])), Some([0xa5; 16]));
        assert_eq!((id_of("xy"), id_of(&"0".repeat(34))), (None, None));
    }
}
