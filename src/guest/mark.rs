//! The line by which a command's shell tells its process id, and how it is taken out of the output.

use super::Stream;

/// Start of the line by which a command's shell tells its process id.
const MARK: &[u8] = b"forge-pid:";
/// How much may come before that line (noise of login scripts).
const MARK_WITHIN: usize = 64 * 1024;

/// Takes the line with the process id, and noise before it, out of standard output.
#[derive(Default)]
pub(super) struct Mark {
    held: Vec<u8>,
    /// The process id, once it is known.
    pub(super) pid: Option<u32>,
    given_up: bool,
}

impl Mark {
    pub(super) fn pass(&mut self, bytes: &[u8], out: &mut (dyn FnMut(Stream, &[u8]) + Send)) {
        if self.pid.is_some() || self.given_up {
            out(Stream::Stdout, bytes);
            return;
        }
        self.held.extend_from_slice(bytes);
        let start = self.held.windows(MARK.len()).position(|w| w == MARK);
        let line = start.and_then(|start| {
            let digits = start + MARK.len();
            let end = digits + self.held[digits..].iter().position(|b| *b == b'\n')?;
            Some((digits, end))
        });
        if let Some((digits, end)) = line {
            let text = String::from_utf8_lossy(&self.held[digits..end]);
            self.pid = text.trim().parse().ok();
            self.given_up = self.pid.is_none();
            let rest = self.held.split_off(end + 1);
            self.held.clear();
            if !rest.is_empty() {
                out(Stream::Stdout, &rest);
            }
        } else if self.held.len() > MARK_WITHIN {
            self.flush(out);
        }
    }

    pub(super) fn flush(&mut self, out: &mut (dyn FnMut(Stream, &[u8]) + Send)) {
        self.given_up = true;
        if !self.held.is_empty() {
            out(Stream::Stdout, &std::mem::take(&mut self.held));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(pieces: &[&[u8]]) -> (Option<u32>, Vec<u8>) {
        let (mut mark, mut seen) = (Mark::default(), Vec::new());
        let mut out = |_: Stream, bytes: &[u8]| seen.extend_from_slice(bytes);
        for piece in pieces {
            mark.pass(piece, &mut out);
        }
        mark.flush(&mut out);
        (mark.pid, seen)
    }

    #[test]
    fn the_process_id_and_what_login_scripts_print_are_taken_out() {
        assert_eq!(
            pass(&[b"hello from .bashrc\nforge-p", b"id:12", b"3\n\x00out"]),
            (Some(123), b"\x00out".to_vec())
        );
        assert_eq!(
            pass(&[b"This account is ", b"not available.\n"]),
            (None, b"This account is not available.\n".to_vec())
        );
    }
}
