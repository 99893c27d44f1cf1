//! The event-stream encoder. It knows the text format and nothing of sessions or JSON-RPC.

use std::fmt::Write as _;

/// One thing that travels on an open event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// An event with its id; the data may be empty (a priming event).
    Event {
        /// Where a reader may resume.
        id: Option<String>,
        /// One JSON-RPC message, or nothing.
        data: String,
    },
    /// How many milliseconds to wait before connecting again.
    Retry(u64),
    /// Where to post to; the first event of the older transport.
    Endpoint(String),
    /// Break the connection in the middle.
    Abort,
}

/// The wire text of a frame; nothing for [`Frame::Abort`].
pub(crate) fn encode(frame: &Frame) -> String {
    let mut text = String::new();
    match frame {
        Frame::Event { id, data } => {
            if let Some(id) = id {
                // Writing to a String cannot fail, here and below.
                let _ = writeln!(text, "id: {id}");
            }
            // A line break inside the data would end the field, so every line becomes a field of its own.
            for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
                let _ = writeln!(text, "data: {line}");
            }
            text.push('\n');
        }
        Frame::Retry(ms) => {
            let _ = write!(text, "retry: {ms}\n\n");
        }
        // Only the older transport has this one.
        Frame::Endpoint(_) | Frame::Abort => {}
    }
    text
}

/// The wire text of a frame in HTTP+SSE (2024-11-05), whose events have names and no ids; messages are called `name`.
pub(crate) fn encode_legacy(frame: &Frame, name: &str) -> String {
    match frame {
        Frame::Endpoint(uri) => format!("event: endpoint\ndata: {uri}\n\n"),
        Frame::Event { data, .. } => {
            let data = encode(&Frame::Event { id: None, data: data.clone() });
            format!("event: {name}\n{data}")
        }
        // Nobody resumes here.
        Frame::Retry(_) | Frame::Abort => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_id_then_data_then_a_blank_line() {
        let frame = Frame::Event { id: Some("3.1".into()), data: "{}".into() };
        assert_eq!(encode(&frame), "id: 3.1\ndata: {}\n\n");
    }

    #[test]
    fn the_older_transport_names_its_events() {
        let frame = Frame::Event { id: Some("3.1".into()), data: "{}".into() };
        assert_eq!(encode_legacy(&frame, "message"), "event: message\ndata: {}\n\n");
        assert_eq!(encode_legacy(&Frame::Endpoint("/x?y=1".into()), "message"), "event: endpoint\ndata: /x?y=1\n\n");
    }

    #[test]
    fn line_breaks_become_fields() {
        let frame = Frame::Event { id: None, data: "a\r\nb\nc".into() };
        assert_eq!(encode(&frame), "data: a\ndata: b\ndata: c\n\n");
    }

    #[test]
    fn a_priming_event_has_empty_data() {
        assert_eq!(encode(&Frame::Event { id: Some("1.0".into()), data: String::new() }), "id: 1.0\ndata: \n\n");
        assert_eq!(encode(&Frame::Retry(500)), "retry: 500\n\n");
    }
}
