//! A child process that speaks JSON lines, and a record of its output.
//!
//! Knows no protocol beyond `seq`: a command carries one, and its answer echoes it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// Lines of standard error kept for the report of a failed case.
const KEPT_ERRORS: usize = 40;

#[derive(Default)]
struct Said {
    lines: Vec<Value>,
    errors: VecDeque<String>,
    ended: bool,
}

#[derive(Default)]
struct Record {
    said: Mutex<Said>,
    changed: Condvar,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said
            .lock()
            .expect("no reader panics while it holds the record")
    }

    fn keep(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The process; on drop it is killed, and its output is printed if the case failed.
pub(crate) struct Coprocess {
    name: String,
    child: Child,
    input: Mutex<Option<ChildStdin>>,
    record: Arc<Record>,
    next_seq: AtomicU64,
}

impl Coprocess {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped
            .spawn()
            .unwrap_or_else(|why| panic!("{name} does not start: {why}"));
        let record = Arc::new(Record::default());
        listen(child.stdout.take().expect("piped"), &record);
        keep_errors(child.stderr.take().expect("piped"), &record);
        let input = Mutex::new(child.stdin.take());
        Self {
            name: name.to_owned(),
            child,
            input,
            record,
            next_seq: AtomicU64::new(1),
        }
    }

    /// Sends a command and returns the `seq` of its answer.
    pub(crate) fn tell(&self, mut command: Value) -> u64 {
        let seq = self.next_seq.fetch_add(1, Ordering::Relaxed);
        command["seq"] = seq.into();
        self.write_line(&command.to_string());
        seq
    }

    /// Writes a line unchanged.
    pub(crate) fn write_line(&self, line: &str) {
        let mut input = self.input.lock().expect("no writer panics");
        let written = writeln!(input.as_mut().expect("input still open"), "{line}");
        written.unwrap_or_else(|why| panic!("{} takes no more commands: {why}", self.name));
    }

    pub(crate) fn close_input(&self) {
        self.input.lock().expect("no writer panics").take();
    }

    /// Waits for the answer to an earlier command: the content of `ok` or of `error`.
    pub(crate) fn answer(&self, seq: u64) -> Result<Value, Value> {
        let mut line = self.wait_for("an answer", |line| {
            line["event"] == "answer" && line["seq"] == seq
        });
        match line.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(line["ok"].take()),
        }
    }

    pub(crate) fn ask(&self, command: Value) -> Result<Value, Value> {
        self.answer(self.tell(command))
    }

    /// Sends a command that must succeed.
    pub(crate) fn order(&self, command: Value) -> Value {
        let said = command.to_string();
        self.ask(command)
            .unwrap_or_else(|error| panic!("{} answered {said} with {error}", self.name))
    }

    /// Sends a command that must be refused; returns the error.
    pub(crate) fn refused(&self, command: Value) -> Value {
        let said = command.to_string();
        match self.ask(command) {
            Ok(answer) => panic!(
                "{} should have refused {said}, and answered {answer}",
                self.name
            ),
            Err(error) => error,
        }
    }

    /// Waits for the first line that fits, past or future.
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.wait_within(PATIENCE, fits)
            .unwrap_or_else(|| panic!("{} never gave {what}", self.name))
    }

    pub(crate) fn wait_within(
        &self,
        patience: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let deadline = Instant::now() + patience;
        let mut said = self.record.lock();
        let mut looked_at = 0;
        loop {
            if let Some(line) = said.lines[looked_at..].iter().find(|line| fits(line)) {
                return Some(line.clone());
            }
            looked_at = said.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || said.ended {
                return None;
            }
            said = self
                .record
                .changed
                .wait_timeout(said, left)
                .expect("no reader panics")
                .0;
        }
    }

    /// Returns all lines so far that fit.
    pub(crate) fn lines(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.record
            .lock()
            .lines
            .iter()
            .filter(|line| fits(line))
            .cloned()
            .collect()
    }

    /// Returns the process id, for signals.
    #[allow(dead_code, reason = "live peers are sent none")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the exit code of a process that was asked to end; `None` at the deadline.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("our own child can be asked") {
                return status.code();
            }
            thread::sleep(super::GLANCE);
        }
        None
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Coprocess {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let said = self.record.lock();
            eprintln!("---- {} said", self.name);
            said.lines.iter().for_each(|line| eprintln!("{line}"));
            eprintln!("---- {} ended its standard error with", self.name);
            said.errors.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

fn listen(output: impl Read + Send + 'static, record: &Arc<Record>) {
    let record = Arc::clone(record);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Output that is not JSON is kept as text: a case that waits for an object fails and shows it.
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            record.keep(|said| said.lines.push(value));
        }
        record.keep(|said| said.ended = true);
    });
}

fn keep_errors(output: impl Read + Send + 'static, record: &Arc<Record>) {
    let record = Arc::clone(record);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            record.keep(|said| {
                said.errors.push_back(line);
                if said.errors.len() > KEPT_ERRORS {
                    said.errors.pop_front();
                }
            });
        }
    });
}
