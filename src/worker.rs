//! Threads with a name and a bounded mailbox.
//!
//! The main thread never waits. Between a source and what consumes it there is a [`mailbox`] of one of two kinds: *live*
//! keeps the newest and counts what it drops, *file* makes the sender wait so that nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded,
};

/// What a full mailbox does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Throws the oldest away and counts it: for cameras.
    DropOldest,
    /// Makes the sender wait: for files, of which every frame counts.
    Wait,
}

/// The sender's end of a mailbox.
#[derive(Debug)]
pub struct Outbox<T> {
    sender: Sender<T>,
    oldest: Receiver<T>,
    when_full: WhenFull,
    dropped: Arc<AtomicU64>,
}

/// The receiver's end of a mailbox.
#[derive(Debug)]
pub struct Inbox<T> {
    receiver: Receiver<T>,
    dropped: Arc<AtomicU64>,
}

/// Makes a mailbox that holds `capacity` items.
pub fn mailbox<T>(capacity: usize, when_full: WhenFull) -> (Outbox<T>, Inbox<T>) {
    let (sender, receiver) = bounded(capacity);
    let dropped = Arc::new(AtomicU64::new(0));
    let outbox = Outbox {
        sender,
        oldest: receiver.clone(),
        when_full,
        dropped: dropped.clone(),
    };
    (outbox, Inbox { receiver, dropped })
}

impl<T> Outbox<T> {
    /// Sends; `false` when `stop` was raised while it waited. A mailbox nobody reads looks full, so a sender always
    /// ends by its stop flag.
    pub fn send(&self, mut item: T, stop: &StopFlag) -> bool {
        while !stop.raised() {
            match self.when_full {
                WhenFull::DropOldest => match self.sender.try_send(item) {
                    Ok(()) => return true,
                    Err(TrySendError::Full(back)) => {
                        if self.oldest.try_recv().is_ok() {
                            self.dropped.fetch_add(1, Ordering::Relaxed);
                        }
                        item = back;
                    }
                    Err(TrySendError::Disconnected(_)) => return false,
                },
                WhenFull::Wait => match self.sender.send_timeout(item, Duration::from_millis(50)) {
                    Ok(()) => return true,
                    Err(SendTimeoutError::Timeout(back)) => item = back,
                    Err(SendTimeoutError::Disconnected(_)) => return false,
                },
            }
        }
        false
    }
}

/// What a receiver found.
#[derive(Debug, PartialEq)]
pub enum Received<T> {
    /// An item.
    Item(T),
    /// Nothing yet.
    Empty,
    /// The sender is gone and nothing is left.
    Closed,
}

impl<T> Inbox<T> {
    /// Takes an item if one is there.
    pub fn try_receive(&self) -> Received<T> {
        match self.receiver.try_recv() {
            Ok(item) => Received::Item(item),
            Err(TryRecvError::Empty) => Received::Empty,
            Err(TryRecvError::Disconnected) => Received::Closed,
        }
    }

    /// Waits for an item, but no longer than `patience`.
    pub fn receive(&self, patience: Duration) -> Received<T> {
        match self.receiver.recv_timeout(patience) {
            Ok(item) => Received::Item(item),
            Err(RecvTimeoutError::Timeout) => Received::Empty,
            Err(RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }

    /// How many items were thrown away because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Tells a thread to end.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Whether the thread should end.
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks the thread to end.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A running thread. Dropping it asks the thread to end and does not wait: a camera driver may hang for seconds.
#[derive(Debug)]
pub struct Worker {
    stop: StopFlag,
}

impl Worker {
    /// Starts a thread of that name.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        name: &str,
        work: impl FnOnce(&StopFlag) + Send + 'static,
    ) -> std::io::Result<Worker> {
        let stop = StopFlag::default();
        let flag = stop.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&flag))?;
        Ok(Worker { stop })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.raise();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_mailboxes_keep_the_newest_and_count_the_rest() {
        let (outbox, inbox) = mailbox(1, WhenFull::DropOldest);
        for n in 0..5 {
            assert!(outbox.send(n, &StopFlag::default()));
        }
        assert_eq!(inbox.try_receive(), Received::Item(4));
        assert_eq!(inbox.dropped(), 4);
        assert_eq!(inbox.try_receive(), Received::Empty);
    }

    #[test]
    fn file_mailboxes_lose_nothing() -> std::io::Result<()> {
        let (outbox, inbox) = mailbox(1, WhenFull::Wait);
        let _worker = Worker::spawn("counts", move |stop| {
            for n in 0..100 {
                outbox.send(n, stop);
            }
        })?;
        let mut seen = Vec::new();
        while let Received::Item(n) = inbox.receive(Duration::from_secs(10)) {
            seen.push(n);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn a_dropped_worker_ends_though_nobody_reads() -> std::io::Result<()> {
        let (outbox, _unread) = mailbox(1, WhenFull::Wait);
        let (done, ended) = bounded(1);
        let worker = Worker::spawn("stuck", move |stop| {
            while outbox.send(0, stop) {}
            let _ = done.send(());
        })?;
        drop(worker);
        assert!(ended.recv_timeout(Duration::from_secs(10)).is_ok());
        Ok(())
    }
}
