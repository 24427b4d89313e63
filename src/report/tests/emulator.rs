//! A terminal, as far as forge needs one: what a user would see.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub(super) struct Emulator(Arc<Mutex<Grid>>);

struct Grid {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    escape: Option<String>,
    partial: Vec<u8>,
}

impl Emulator {
    pub(super) fn new(columns: usize) -> Self {
        let grid = Grid {
            columns,
            rows: Vec::new(),
            row: 0,
            column: 0,
            escape: None,
            partial: Vec::new(),
        };
        Self(Arc::new(Mutex::new(grid)))
    }

    /// All that is on the screen and above it.
    pub(super) fn text(&self) -> String {
        let grid = self.0.lock().unwrap();
        let lines = grid
            .rows
            .iter()
            .map(|row| row.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Where the cursor is.
    pub(super) fn cursor(&self) -> (usize, usize) {
        let grid = self.0.lock().unwrap();
        (grid.row, grid.column)
    }
}

impl Write for Emulator {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut grid = self.0.lock().unwrap();
        grid.partial.extend_from_slice(bytes);
        let text = String::from_utf8(std::mem::take(&mut grid.partial)).unwrap();
        text.chars().for_each(|c| grid.take(c));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Grid {
    fn take(&mut self, c: char) {
        if let Some(mut escape) = self.escape.take() {
            escape.push(c);
            if escape == "[" || !c.is_ascii_alphabetic() {
                self.escape = Some(escape);
            } else {
                self.control(&escape);
            }
            return;
        }
        match c {
            '\u{1b}' => self.escape = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => (self.row, self.column) = (self.row + 1, 0),
            c => {
                assert!(!c.is_control(), "{c:?} on the terminal");
                if self.column == self.columns {
                    (self.row, self.column) = (self.row + 1, 0);
                }
                let column = self.column;
                let row = self.row();
                row.resize(row.len().max(column + 1), ' ');
                row[column] = c;
                self.column += 1;
            }
        }
    }

    fn row(&mut self) -> &mut Vec<char> {
        let count = self.rows.len().max(self.row + 1);
        self.rows.resize(count, Vec::new());
        &mut self.rows[self.row]
    }

    fn control(&mut self, escape: &str) {
        let (number, kind) = escape[1..].split_at(escape.len() - 2);
        let n: usize = number.parse().unwrap_or(1);
        match kind {
            "A" => self.row = self.row.saturating_sub(n),
            "B" => self.row += n,
            "K" => self.row().clear(),
            "m" => {}
            other => panic!("unknown control {other}"),
        }
    }
}
