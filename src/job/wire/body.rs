//! Bodies, unpacked within limits.

use std::{borrow::Cow, io::Read as _};

use super::{Limits, Rejection};
use crate::queue::Message;

/// Deepest nesting of a document: a curve of an engine flow has 5.
const MOST_DEPTH: usize = 8;

/// The bytes of a body, unpacked where they are compressed.
pub(super) fn unpack<'a>(message: &'a Message, limits: &Limits) -> Result<Cow<'a, [u8]>, Rejection> {
    let body = &message.body[..];
    if body.len() > limits.message_bytes {
        let expected = format!("at most {} bytes; put the flights into the store", limits.message_bytes);
        return Err(Rejection::new("body", format_args!("{} bytes", body.len()), expected));
    }
    match message.properties.content_encoding.as_deref() {
        None | Some("" | "identity") => Ok(Cow::Borrowed(body)),
        Some("zstd") => inflate(body, limits).map(Cow::Owned),
        Some(other) => Err(Rejection::new("content_encoding", format_args!("{other:?}"), "none or zstd")),
    }
}

fn inflate(body: &[u8], limits: &Limits) -> Result<Vec<u8>, Rejection> {
    let most = limits.unpacked_bytes.min(body.len().saturating_mul(limits.ratio));
    let broken =
        |e: std::io::Error| Rejection::new("body", format_args!("no zstd: {e}"), "a body compressed with zstd");
    let mut decoder = zstd::Decoder::new(body).map_err(broken)?;
    // A window that the frame declares is memory too: 8 MB, what every
    // compressor but --ultra stays under.
    decoder.window_log_max(23).map_err(broken)?;
    let mut out = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut out).map_err(broken)?;
    if out.len() > most {
        let expected = format!(
            "at most {} bytes unpacked and {} times the {} bytes that came",
            limits.unpacked_bytes,
            limits.ratio,
            body.len()
        );
        return Err(Rejection::new("body", format_args!("more than {most} bytes unpacked"), expected));
    }
    Ok(out)
}

/// Refuses JSON that is nested too deep, before any of it is read.
pub(super) fn check_depth(json: &[u8]) -> Result<(), Rejection> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for &byte in json {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_DEPTH {
            return Err(Rejection::new("body", format_args!("nested deeper than {MOST_DEPTH}"), "a job"));
        }
    }
    Ok(())
}
