//! What loading asked the outside, and whether the answers are still the same.
//!
//! Two loads that get the same answers give the same project, so that whoever remembers the answers need not load again.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{PathKind, World};
use crate::model::Digest;

/// A question of [`World`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// [`World::read`].
    Read(PathBuf),
    /// [`World::list`].
    List(PathBuf),
    /// [`World::find`].
    Find(PathBuf, usize),
    /// [`World::kind`].
    Kind(PathBuf),
    /// [`World::env`].
    Env(String),
    /// [`World::command`].
    Command(String, PathBuf),
}

/// A question, and the digest of what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What was asked.
    pub question: Question,
    /// SHA-256 of the answer; a file's is that of its content.
    pub answer: Digest,
}

impl Asked {
    /// Asks again; whether the answer is the same.
    #[must_use]
    pub fn still_so(&self, world: &dyn World) -> bool {
        let answer = match &self.question {
            Question::Read(path) => of_read(&world.read(path)),
            Question::List(dir) => of_paths(&world.list(dir)),
            Question::Find(dir, depth) => of_paths(&world.find(dir, *depth)),
            Question::Kind(path) => of_kind(&world.kind(path)),
            Question::Env(name) => of_env(world.env(name).as_deref()),
            Question::Command(line, dir) => of_command(&world.command(line, dir)),
        };
        answer == self.answer
    }
}

/// A world that remembers what it was asked.
pub struct Remembering<'w> {
    world: &'w dyn World,
    asked: RefCell<Vec<Asked>>,
}

impl<'w> Remembering<'w> {
    /// Passes all questions on to `world`.
    #[must_use]
    pub fn new(world: &'w dyn World) -> Self {
        Self {
            world,
            asked: RefCell::default(),
        }
    }

    /// All that was asked, in order.
    #[must_use]
    pub fn into_asked(self) -> Vec<Asked> {
        self.asked.into_inner()
    }

    fn note(&self, question: Question, answer: Digest) {
        self.asked.borrow_mut().push(Asked { question, answer });
    }
}

impl World for Remembering<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let answer = self.world.read(path);
        self.note(Question::Read(path.to_owned()), of_read(&answer));
        answer
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let answer = self.world.list(dir);
        self.note(Question::List(dir.to_owned()), of_paths(&answer));
        answer
    }

    fn find(&self, dir: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
        let answer = self.world.find(dir, depth);
        self.note(Question::Find(dir.to_owned(), depth), of_paths(&answer));
        answer
    }

    fn kind(&self, path: &Path) -> io::Result<PathKind> {
        let answer = self.world.kind(path);
        self.note(Question::Kind(path.to_owned()), of_kind(&answer));
        answer
    }

    fn env(&self, name: &str) -> Option<String> {
        let answer = self.world.env(name);
        self.note(Question::Env(name.to_owned()), of_env(answer.as_deref()));
        answer
    }

    fn command(&self, line: &str, dir: &Path) -> Result<String, String> {
        let answer = self.world.command(line, dir);
        let question = Question::Command(line.to_owned(), dir.to_owned());
        self.note(question, of_command(&answer));
        answer
    }
}

fn of_error(error: &io::Error) -> Digest {
    Digest::of(format!("error: {error}").as_bytes())
}

fn of_read(answer: &io::Result<Vec<u8>>) -> Digest {
    match answer {
        Ok(bytes) => Digest::of(bytes),
        Err(error) => of_error(error),
    }
}

fn of_paths(answer: &io::Result<Vec<PathBuf>>) -> Digest {
    match answer {
        Ok(paths) => {
            let mut paths: Vec<&[u8]> = paths
                .iter()
                .map(|path| path.as_os_str().as_encoded_bytes())
                .collect();
            // `find` gives them as the directory has them
            paths.sort_unstable();
            Digest::of(&paths.join(&0))
        }
        Err(error) => of_error(error),
    }
}

fn of_kind(answer: &io::Result<PathKind>) -> Digest {
    match answer {
        Ok(PathKind::File) => Digest::of(b"file"),
        Ok(PathKind::Directory) => Digest::of(b"directory"),
        Err(error) => of_error(error),
    }
}

fn of_env(answer: Option<&str>) -> Digest {
    match answer {
        Some(value) => Digest::of(format!("set: {value}").as_bytes()),
        None => Digest::of(b"unset"),
    }
}

fn of_command(answer: &Result<String, String>) -> Digest {
    Digest::of(format!("{answer:?}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers everything with its text.
    struct Always(&'static str);

    impl World for Always {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            if path.ends_with("none") {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(self.0.as_bytes().to_vec())
        }
        fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(vec![self.0.into(), "other".into()])
        }
        fn find(&self, _: &Path, _: usize) -> io::Result<Vec<PathBuf>> {
            Ok(vec!["other".into(), self.0.into()])
        }
        fn kind(&self, path: &Path) -> io::Result<PathKind> {
            match self.0 {
                "a" => Ok(PathKind::File),
                _ if path.ends_with("none") => Err(io::ErrorKind::NotFound.into()),
                _ => Ok(PathKind::Directory),
            }
        }
        fn env(&self, name: &str) -> Option<String> {
            (name != "NONE").then(|| self.0.to_owned())
        }
        fn command(&self, line: &str, _: &Path) -> Result<String, String> {
            match line {
                "false" => Err("no".into()),
                _ => Ok(self.0.into()),
            }
        }
    }

    #[test]
    fn every_answer_counts_and_answers_pass_through() {
        let world = Always("a");
        let remembering = Remembering::new(&world);
        let dir = Path::new("/d");
        assert_eq!(remembering.read(dir).unwrap(), b"a");
        assert!(remembering.read(Path::new("/none")).is_err());
        assert_eq!(remembering.list(dir).unwrap().len(), 2);
        assert_eq!(remembering.find(dir, 2).unwrap().len(), 2);
        assert_eq!(remembering.kind(dir).unwrap(), PathKind::File);
        assert_eq!(remembering.env("A").as_deref(), Some("a"));
        assert_eq!(remembering.env("NONE"), None);
        assert_eq!(remembering.command("x", dir), Ok("a".into()));
        assert_eq!(remembering.command("false", dir), Err("no".into()));
        let asked = remembering.into_asked();
        assert_eq!(asked.len(), 9);
        assert!(asked.iter().all(|asked| asked.still_so(&Always("a"))));
        let same: Vec<bool> = asked.iter().map(|a| a.still_so(&Always("b"))).collect();
        // those that fail alike, and the variable that nobody has set
        let expected = [false, true, false, false, false, false, true, false, true];
        assert_eq!(same, expected);
        let kept = serde_json::to_string(&asked).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Asked>>(&kept).unwrap(), asked);
    }
}
