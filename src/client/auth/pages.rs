//! The way through the pages of an authorization server: redirects, cookies, forms, until it leads back to the client.

use std::sync::Arc;
use std::time::Duration;

use cookie_store::{CookieStore, RawCookie};
use scraper::{ElementRef, Html, Selector};
use url::Url;
use url::form_urlencoded::Serializer;

use super::fetch::Ask;
use crate::client::Entry;
use crate::client::entry::{FormStep, Hidden};
use crate::client::exchange::Answered;
use crate::client::sim::Sim;

/// After so many pages and redirects nobody expects to come home any more.
const MOST_STATIONS: usize = 30;

/// A form as it is sent.
struct Filled {
    post: bool,
    action: Url,
    pairs: Vec<(String, String)>,
}

impl Sim {
    /// Opens an authorization URL and goes where it leads; gives the URL that it hands to the client.
    pub(super) async fn walk(self: &Arc<Self>, url: &str, redirect_uri: &str, within: Duration) -> Option<Url> {
        let mut steps: &[FormStep] = match &self.target.entry {
            Entry::Form(steps) => steps,
            _ => &[],
        };
        let mut jar = CookieStore::new();
        let mut here = Url::parse(url).ok()?;
        let mut answered = self.page(&mut jar, &here, None, within).await?;
        for _ in 0..MOST_STATIONS {
            if let Some(place) = crate::transcript::header(&answered.headers, "location") {
                let place = here.join(place).ok()?;
                if is_back(&place, redirect_uri) {
                    return Some(place);
                }
                here = place;
                answered = self.page(&mut jar, &here, None, within).await?;
                continue;
            }
            let Some((step, rest)) = steps.split_first() else {
                self.note("the authorization endpoint did not redirect; a person may have to consent there");
                return None;
            };
            steps = rest;
            match fill(answered.page.as_deref().unwrap_or_default(), &here, step) {
                Ok(form) => {
                    here = form.action.clone();
                    answered = self.page(&mut jar, &here, Some(form), within).await?;
                    let kept = answered.status.is_some_and(|status| (300..400).contains(&status));
                    if !kept && answered.page.is_none() {
                        self.note("the page that a form led to is no page, and leads nowhere");
                        return None;
                    }
                }
                Err(why) => {
                    self.note(&format!("the scripted login stops at {}: {why}", here.path()));
                    return None;
                }
            }
        }
        self.note("the login went round in circles");
        None
    }

    async fn page(
        self: &Arc<Self>,
        jar: &mut CookieStore,
        url: &Url,
        form: Option<Filled>,
        within: Duration,
    ) -> Option<Answered> {
        let cookies: Vec<String> = jar.get_request_values(url).map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = crate::scenario::Headers::new();
        if !cookies.is_empty() {
            headers.insert("cookie".to_owned(), Some(cookies.join("; ")));
        }
        headers.insert("accept".to_owned(), Some("text/html,application/xhtml+xml,*/*;q=0.8".to_owned()));
        let mut ask = Ask { method: "GET", url: url.as_str(), headers, ..Ask::default() };
        let with_query;
        if let Some(form) = form {
            let text = Serializer::new(String::new()).extend_pairs(&form.pairs).finish();
            if form.post {
                let origin = url.origin().ascii_serialization();
                ask.method = "POST";
                ask.content_type = Some("application/x-www-form-urlencoded");
                ask.headers.insert("origin".to_owned(), Some(origin));
                ask.body = text.into_bytes();
            } else {
                let mut place = url.clone();
                place.set_query(Some(&text));
                with_query = place.to_string();
                ask.url = &with_query;
            }
        }
        let answered = self.fetch(ask, within).await?;
        let set = answered.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let cookies: Vec<RawCookie<'static>> =
            set.filter_map(|(_, value)| RawCookie::parse(value.clone()).ok()).collect();
        jar.store_response_cookies(cookies.into_iter(), url);
        Some(answered)
    }
}

/// Whether a place is the client's: what comes before its query is the redirect URI.
fn is_back(place: &Url, redirect_uri: &str) -> bool {
    let bare = |url: &Url| {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url
    };
    Url::parse(redirect_uri).is_ok_and(|wanted| bare(&wanted) == bare(place))
}

/// The form of a page that has every field of the step, and the button if one is named, filled in.
fn fill(page: &str, here: &Url, step: &FormStep) -> Result<Filled, String> {
    let selector = |text: &str| Selector::parse(text).map_err(|error| error.to_string());
    let (forms, controls) = (selector("form")?, selector("input, button, textarea, select")?);
    let page = Html::parse_document(page);
    let mut seen = Vec::new();
    for form in page.select(&forms) {
        let controls: Vec<ElementRef<'_>> = form.select(&controls).collect();
        let has = |name: &str| controls.iter().any(|control| control.attr("name") == Some(name));
        let button = step.press.as_ref().map(|press| controls.iter().find(|control| is_button(control, press)));
        if step.fields.iter().all(|(name, _)| has(name)) && button != Some(None) {
            return filled(form, &controls, button.flatten(), here, step);
        }
        seen.extend(controls.iter().filter_map(|control| control.attr("name")).map(str::to_owned));
    }
    let wanted: Vec<&str> = step.fields.iter().map(|(name, _)| name.as_str()).chain(step.press.as_deref()).collect();
    Err(if seen.is_empty() {
        "the page has no form".to_owned()
    } else {
        format!("no form has {}; the page has {}", wanted.join(" and "), seen.join(", "))
    })
}

fn kind(control: &ElementRef<'_>) -> String {
    let usual = if control.value().name() == "button" { "submit" } else { "text" };
    control.attr("type").unwrap_or(usual).to_ascii_lowercase()
}

/// What stands in a control that nobody touched.
fn standing(control: &ElementRef<'_>) -> String {
    let value = |element: &ElementRef<'_>| element.attr("value").map(str::to_owned);
    match control.value().name() {
        "textarea" => control.text().collect(),
        "select" => {
            let options: Vec<ElementRef<'_>> =
                control.descendent_elements().filter(|element| element.value().name() == "option").collect();
            let chosen = options.iter().find(|option| option.attr("selected").is_some()).or(options.first());
            chosen.map(|option| value(option).unwrap_or_else(|| option.text().collect())).unwrap_or_default()
        }
        _ => value(control).unwrap_or_default(),
    }
}

fn is_button(control: &ElementRef<'_>, press: &str) -> bool {
    let written = control.text().collect::<String>();
    let is = |text: Option<&str>| text.is_some_and(|text| text.trim().eq_ignore_ascii_case(press));
    matches!(kind(control).as_str(), "submit" | "image")
        && (is(control.attr("name")) || is(control.attr("value")) || is(Some(&written)))
}

fn filled(
    form: ElementRef<'_>,
    controls: &[ElementRef<'_>],
    button: Option<&ElementRef<'_>>,
    here: &Url,
    step: &FormStep,
) -> Result<Filled, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for control in controls {
        let Some(name) = control.attr("name").filter(|_| control.attr("disabled").is_none()) else { continue };
        let own = step.fields.iter().find(|(known, _)| known == name);
        let value = match (own, kind(control).as_str()) {
            (Some((_, Hidden(value))), _) => value.clone(),
            (None, "submit" | "image" | "button" | "reset") => continue,
            (None, "checkbox" | "radio") if control.attr("checked").is_none() => continue,
            (None, "checkbox" | "radio") => control.attr("value").unwrap_or("on").to_owned(),
            (None, _) => standing(control),
        };
        if !(own.is_some() && pairs.iter().any(|(known, _)| known == name)) {
            pairs.push((name.to_owned(), value));
        }
    }
    let pressed = |button: &ElementRef<'_>| {
        Some((button.attr("name")?.to_owned(), button.attr("value").unwrap_or_default().to_owned()))
    };
    pairs.extend(button.and_then(pressed));
    let action = button.and_then(|button| button.attr("formaction")).or_else(|| form.attr("action")).unwrap_or("");
    let action = here.join(action).map_err(|_| format!("the form leads to `{action}`, which is no place"))?;
    let post = form.attr("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
    Ok(Filled { post, action, pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<form action="/other"><input name="q"></form>
        <form method="post" action="login?x=1"><input type="hidden" name="csrf" value="t1">
        <textarea name="note">as it is</textarea><input name="gone" value="x" disabled>
        <select name="tenant"><option value="a">A</option><option value="b" selected>B</option></select>
        <select name="region"><option>north</option></select><input name="user"><input type="password" name="password"><input type="checkbox" name="stay">
        <button name="do" value="deny">Deny</button><button name="do" value="allow">Allow access</button></form>"#;

    fn step(fields: &[(&str, &str)], press: Option<&str>) -> FormStep {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), Hidden((*value).to_owned()))).collect();
        FormStep { fields, press: press.map(str::to_owned) }
    }

    #[test]
    fn the_form_with_the_fields_is_sent_as_a_browser_would() {
        let here = Url::parse("http://h/a/page").expect("a URL");
        let wanted = step(&[("user", "ada"), ("password", "secret")], Some("allow access"));
        let form = fill(PAGE, &here, &wanted).expect("found");
        assert_eq!((form.post, form.action.as_str()), (true, "http://h/a/login?x=1"));
        let pairs: Vec<(&str, &str)> = form.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("csrf", "t1"),
                ("note", "as it is"),
                ("tenant", "b"),
                ("region", "north"),
                ("user", "ada"),
                ("password", "secret"),
                ("do", "allow"),
            ]
        );
    }

    #[test]
    fn a_page_without_the_form_says_what_it_has() {
        let here = Url::parse("http://h/").expect("a URL");
        let error = fill(PAGE, &here, &step(&[("pin", "1")], None)).err().expect("refused");
        assert!(error.contains("no form has pin") && error.contains("user"), "{error}");
        assert_eq!(fill("<p>no</p>", &here, &step(&[], None)).err().as_deref(), Some("the page has no form"));
    }

    #[test]
    fn the_way_back_is_told_by_all_but_the_query() {
        let is = |place: &str| is_back(&Url::parse(place).expect("a URL"), "http://127.0.0.1:1/callback");
        assert!(is("http://127.0.0.1:1/callback?code=1"));
        assert!(!is("http://127.0.0.1:2/callback?code=1") && !is("http://127.0.0.1:1/callback/x"));
        assert!(is_back(&Url::parse("cursor://a/b?code=1").expect("a URL"), "cursor://a/b"));
    }
}
