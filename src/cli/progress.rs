//! A progress bar: on a terminal only, and only for work that takes a while.

use super::args::Global;
use ckpt::parallel::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Work that is done sooner shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows bytes done and their rate; nothing at all under `--quiet` or off a terminal.
pub(crate) struct Bar {
    visible: bool,
    total: u64,
    label: &'static str,
    started: Instant,
    done: std::sync::atomic::AtomicU64,
    bar: OnceLock<ProgressBar>,
}

impl Bar {
    /// A bar for `total` bytes of work.
    pub(crate) fn new(global: &Global, label: &'static str, total: u64) -> Bar {
        Bar {
            visible: !global.quiet && std::io::stderr().is_terminal(),
            total,
            label,
            started: Instant::now(),
            done: 0.into(),
            bar: OnceLock::new(),
        }
    }

    fn draw(&self) -> ProgressBar {
        const TEMPLATE: &str = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} \
                                {decimal_bytes_per_sec} {eta}";
        let bar = ProgressBar::with_draw_target(Some(self.total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(self.label);
        bar.with_elapsed(self.started.elapsed())
    }
}

impl Progress for Bar {
    fn add(&self, bytes: u64) {
        use std::sync::atomic::Ordering;
        if !self.visible {
            return;
        }
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.started.elapsed() >= PATIENCE {
            self.bar.get_or_init(|| self.draw()).set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
