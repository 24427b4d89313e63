//! A terminal on any writer: what the live lines are drawn with.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

/// Columns and rows.
pub type Measure = Box<dyn Fn() -> (u16, u16) + Send + Sync>;

/// A writer that is shared between the live lines and what is written above them.
#[derive(Clone)]
pub(super) struct Screen {
    inner: Arc<Inner>,
}

struct Inner {
    out: Mutex<Out>,
    measure: Measure,
}

struct Out {
    writer: Box<dyn Write + Send>,
    // what makes up one picture is written at once, so that nothing flickers
    pending: Vec<u8>,
}

impl Screen {
    pub(super) fn new(writer: Box<dyn Write + Send>, measure: Measure) -> Self {
        let out = Mutex::new(Out {
            writer,
            pending: Vec::new(),
        });
        Self {
            inner: Arc::new(Inner { out, measure }),
        }
    }

    /// Writes `text` where the cursor is.
    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        self.out().pending.extend_from_slice(text.as_bytes());
        self.flush()
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.inner
            .out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, text: &str) -> io::Result<()> {
        self.out().pending.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn movement(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 {
            Ok(())
        } else {
            self.queue(&format!("\u{1b}[{n}{direction}"))
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        (self.inner.measure)().0.max(1)
    }

    fn height(&self) -> u16 {
        (self.inner.measure)().1.max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.movement(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.movement(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.movement(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.movement(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.queue(text)?;
        self.queue("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.queue(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.queue("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut out = self.out();
        let pending = std::mem::take(&mut out.pending);
        out.writer.write_all(&pending)?;
        out.writer.flush()
    }
}
