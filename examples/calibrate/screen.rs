//! Where a command shows what it does: in the terminal, and in a window where one is wanted.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};

/// Pictures are shown no more often.
const REST: Duration = Duration::from_millis(80);

/// Where a command shows what it does.
pub struct Screen {
    bar: ProgressBar,
    shown: Option<Arc<Mutex<Shown>>>,
    pictures_at: Mutex<Option<Instant>>,
}

/// What a window shows.
#[derive(Default)]
pub struct Shown {
    /// The newest pictures, each with its camera's name.
    pub pictures: Vec<(String, RgbImage)>,
    /// Counts them.
    pub version: u64,
    /// How far the work is, 0 to 1, where that is known.
    pub progress: Option<f32>,
    /// What is done now, or what is wanted of whoever stands before the cameras.
    pub now: String,
    /// What was said so far.
    pub said: Vec<String>,
    /// How it ended.
    pub ended: Option<Result<(), String>>,
}

impl Screen {
    /// The terminal alone.
    pub fn terminal() -> Screen {
        Screen {
            bar: ProgressBar::hidden(),
            shown: None,
            pictures_at: Mutex::new(None),
        }
    }

    /// The terminal and a window.
    #[cfg(feature = "panel")]
    pub fn window(shown: Arc<Mutex<Shown>>) -> Screen {
        Screen {
            shown: Some(shown),
            ..Screen::terminal()
        }
    }

    fn shown(&self) -> Option<MutexGuard<'_, Shown>> {
        let shown = self.shown.as_ref()?;
        Some(shown.lock().unwrap_or_else(|broken| broken.into_inner()))
    }

    /// Says a sentence.
    pub fn say(&self, sentence: impl Display) {
        self.bar.suspend(|| println!("{sentence}"));
        if let Some(mut shown) = self.shown() {
            shown.said.push(sentence.to_string());
        }
    }

    /// The same of what went less well than it should.
    pub fn warn(&self, sentence: impl Display) {
        self.bar.suspend(|| eprintln!("note: {sentence}"));
        if let Some(mut shown) = self.shown() {
            shown.said.push(format!("note: {sentence}"));
        }
    }

    /// Begins work of so many steps; `None` where nobody knows.
    pub fn begin(&mut self, what: &str, steps: Option<u64>) {
        self.bar = match steps {
            Some(steps) => ProgressBar::new(steps),
            None => ProgressBar::new_spinner(),
        };
        let form = match steps {
            Some(_) => "{prefix} {bar:30} {pos}/{len}, {eta} left; {msg}",
            None => "{spinner} {prefix}: {pos}; {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(what.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(100));
        if let Some(mut shown) = self.shown() {
            (shown.now, shown.progress) = (what.to_owned(), steps.map(|_| 0.0));
        }
    }

    /// One step further; `now` is what to do, or what was found.
    pub fn step(&self, now: String) {
        self.bar.inc(1);
        if let Some(mut shown) = self.shown() {
            if let Some(steps) = self.bar.length() {
                shown.progress = Some(self.bar.position() as f32 / steps.max(1) as f32);
            }
            if !now.is_empty() {
                shown.now.clone_from(&now);
            }
        }
        if !now.is_empty() {
            self.bar.set_message(now);
        }
    }

    /// Ends the work that was begun.
    pub fn end(&self) {
        self.bar.finish_and_clear();
        if let Some(mut shown) = self.shown() {
            shown.progress = None;
            shown.now.clear();
        }
    }

    /// Shows pictures where there is a window, and it is time for new ones: only then are they made.
    pub fn show(&self, pictures: impl FnOnce() -> Vec<(String, RgbImage)>) {
        if self.shown.is_none() {
            return;
        }
        {
            let mut last = self
                .pictures_at
                .lock()
                .unwrap_or_else(|broken| broken.into_inner());
            if last.is_some_and(|at| at.elapsed() < REST) {
                return;
            }
            *last = Some(Instant::now());
        }
        let pictures = pictures();
        if let Some(mut shown) = self.shown() {
            shown.pictures = pictures;
            shown.version += 1;
        }
    }
}
