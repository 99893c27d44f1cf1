//! What is wrong with a scenario file, shown with the line it is on.
//!
//! Owns how a mistake looks; must not know what counts as one.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::model::Span;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The bytes it is about.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What was expected there; stands under the carets.
    pub label: String,
    /// How to put it right.
    pub help: Option<String>,
}

/// All mistakes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    /// Name of the file.
    pub file: String,
    /// Its text; empty where it could not be read.
    pub text: String,
    /// The mistakes, in the order of the file.
    pub items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Every mistake with file, line, column, the line with carets, what was expected and how to fix it.
    pub fn render(&self, colored: bool) -> String {
        let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
        let shown = self.items.iter().map(|item| renderer.render(&self.report(item)));
        shown.collect::<Vec<_>>().join("\n\n")
    }

    fn report<'a>(&'a self, item: &'a Diagnostic) -> Vec<Group<'a>> {
        let title = Level::ERROR.primary_title(item.message.as_str());
        let group = if self.text.is_empty() {
            title.element(Origin::path(self.file.as_str()))
        } else {
            let mut annotation = AnnotationKind::Primary.span(self.visible(item.span));
            if !item.label.is_empty() {
                annotation = annotation.label(item.label.as_str());
            }
            title.element(Snippet::source(self.text.as_str()).path(self.file.as_str()).annotation(annotation))
        };
        match &item.help {
            Some(help) => vec![group.element(Level::HELP.message(help.as_str()))],
            None => vec![group],
        }
    }

    /// The part of a span that can be underlined: on character borders, within the text, on one line.
    fn visible(&self, span: Span) -> std::ops::Range<usize> {
        let start = self.text.floor_char_boundary(span.start.min(self.text.trim_end().len()));
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
        let end = self.text.ceil_char_boundary(span.end.clamp(start, line_end));
        start..end
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const HEAD: &str = "version: 1\nid: invoke.example\ntitle: An example\nwhy: It shows mistakes.\n";

    fn shown(name: &str, text: &str) {
        let rendered = parse("scenarios/example.yaml", text).expect_err("has mistakes").render(false);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(format!("scenario_{name}"), rendered));
    }

    #[test]
    fn mistakes_of_form_are_shown_where_they_are() {
        let steps = |steps: &str| format!("{HEAD}steps:\n{steps}");
        shown("unknown_step", &steps("  - connect\n  - invok: { tool: echo }\n"));
        shown("unknown_bare_step", &steps("  - conect\n"));
        shown("unknown_field_in_a_step", &steps("  - connect\n  - invoke: { tol: echo }\n"));
        shown("unknown_field_in_expect", &steps("  - invoke:\n      expect:\n        stauts: 200\n"));
        shown("unknown_field_on_top", &format!("{HEAD}step:\n  - connect\n"));
        shown("missing_field", "version: 1\nid: invoke.example\nsteps: [connect]\n");
        shown("missing_field_of_a_bare_word", &steps("  - await\n"));
        shown("duplicate_key", &steps("  - invoke: { tool: a, tool: b }\n"));
        shown("two_keys_in_a_step", &steps("  - connect: {}\n    negotiate: {}\n"));
        shown("wrong_type", &steps("  - invoke: { tool: [echo] }\n"));
        shown("bad_status", &steps("  - invoke: { expect: { status: 9xx } }\n"));
        shown("bad_operator", &steps("  - invoke: { expect: { result: { a: { $typ: string } } } }\n"));
        shown("bad_result", &steps("  - invoke: { expect: { result: fine } }\n"));
        shown("bad_yaml", &steps("  - invoke: { tool: [\n  - shutdown\n"));
        shown("empty_file", "");
    }

    #[test]
    fn all_mistakes_of_meaning_are_shown_together() {
        shown(
            "mistakes_of_meaning",
            r#"version: 2
id: Invoke Example
title: An example
why: It shows mistakes.
revisions: ["2025-06-18", "2025-11-26"]
needs: [session, ressources, "tool:test_echo"]
vars: { greeting: hello }
steps:
  - invoke: { as: one, within: 5 }
  - invoke: { tool: test_echo, method: ping, as: one }
  - negotiate: { client: b }
  - invoke: { tool: test_echo, arguments: { text: "${greting}" } }   # not ${this}
  - await: { call: on }
  - cancel: {}
  - disconnect: { when: after-first-event }
  - wait: { for: soon }
  - wait
  - raw: { message: {}, body: "", repeat: 0, bytes: "?" }
  - together: []
"#,
        );
    }

    #[test]
    fn a_scenario_without_steps() {
        shown("no_steps", &format!("{HEAD}steps: []\n"));
    }

    #[test]
    fn colors_are_a_parameter() {
        let mistakes = parse("x.yaml", "steps: 1").unwrap_err();
        assert!(mistakes.render(true).contains('\u{1b}'));
        assert!(!mistakes.render(false).contains('\u{1b}'));
        assert_eq!(mistakes.to_string(), mistakes.render(false));
    }
}
