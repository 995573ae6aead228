//! Threads with a name and a bounded mailbox.
//!
//! The main thread never waits. Between a source and what consumes it there is a [`mailbox`] of one of two kinds: *live*
//! keeps the newest and counts what it drops, *file* makes the sender wait so that nothing is lost. What must arrive in
//! any case, such as the news that a camera is gone, is [told](Outbox::tell) rather than sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a full mailbox does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Throws the oldest away and counts it: for cameras.
    DropOldest,
    /// Makes the sender wait: for files, of which every frame counts.
    Wait,
}

/// What both ends of a mailbox share. A channel of a library cannot throw away one kind of item and keep another.
#[derive(Debug)]
struct Shared<T> {
    post: Mutex<Post<T>>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct Post<T> {
    /// In the order in which they came; told items do not count towards the capacity.
    items: VecDeque<Posted<T>>,
    dropped: u64,
    sender_gone: bool,
    receiver_gone: bool,
}

#[derive(Debug)]
struct Posted<T> {
    item: T,
    told: bool,
}

impl<T> Shared<T> {
    /// Held for a few instructions only, so that nobody waits for it.
    fn post(&self) -> MutexGuard<'_, Post<T>> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        post: MutexGuard<'a, Post<T>>,
        patience: Duration,
    ) -> MutexGuard<'a, Post<T>> {
        let waited = self.changed.wait_timeout(post, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The sender's end of a mailbox.
#[derive(Debug)]
pub struct Outbox<T> {
    shared: Arc<Shared<T>>,
    when_full: WhenFull,
}

/// The receiver's end of a mailbox.
#[derive(Debug)]
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

/// Makes a mailbox that holds `capacity` items.
pub fn mailbox<T>(capacity: usize, when_full: WhenFull) -> (Outbox<T>, Inbox<T>) {
    let shared = Arc::new(Shared {
        post: Mutex::new(Post {
            items: VecDeque::new(),
            dropped: 0,
            sender_gone: false,
            receiver_gone: false,
        }),
        changed: Condvar::new(),
        capacity: capacity.max(1),
    });
    let outbox = Outbox {
        shared: shared.clone(),
        when_full,
    };
    (outbox, Inbox { shared })
}

impl<T> Outbox<T> {
    /// Sends; `false` when nobody will ever read it, or when `stop` was raised while it waited.
    pub fn send(&self, item: T, stop: &StopFlag) -> bool {
        let mut post = self.shared.post();
        while !post.receiver_gone && !stop.raised() {
            let sent = |posted: &Posted<T>| !posted.told;
            if post.items.iter().filter(|posted| sent(posted)).count() < self.shared.capacity {
                post.items.push_back(Posted { item, told: false });
                self.shared.changed.notify_all();
                return true;
            }
            match self.when_full {
                WhenFull::DropOldest => {
                    let oldest = post.items.iter().position(sent);
                    // Thrown away after the lock is: freeing a picture takes its time.
                    let thrown = oldest.and_then(|oldest| post.items.remove(oldest));
                    post.dropped += 1;
                    drop(post);
                    drop(thrown);
                    post = self.shared.post();
                }
                // The flag has no bell of its own: it is looked at now and then.
                WhenFull::Wait => post = self.shared.wait(post, Duration::from_millis(50)),
            }
        }
        false
    }

    /// Sends what must arrive: it is never thrown away, and does not wait for room. For rare news, in the order of the rest.
    pub fn tell(&self, item: T) {
        let mut post = self.shared.post();
        if !post.receiver_gone {
            post.items.push_back(Posted { item, told: true });
            self.shared.changed.notify_all();
        }
    }

    /// Whether nobody will ever read what is sent.
    pub fn is_closed(&self) -> bool {
        self.shared.post().receiver_gone
    }

    /// How many items wait to be read.
    pub fn waiting(&self) -> usize {
        self.shared.post().items.len()
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        self.shared.post().sender_gone = true;
        self.shared.changed.notify_all();
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.shared.post().receiver_gone = true;
        self.shared.changed.notify_all();
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
        self.receive(Duration::ZERO)
    }

    /// Waits for an item, but no longer than `patience`.
    pub fn receive(&self, patience: Duration) -> Received<T> {
        let began = Instant::now();
        let mut post = self.shared.post();
        loop {
            if let Some(Posted { item, .. }) = post.items.pop_front() {
                self.shared.changed.notify_all();
                return Received::Item(item);
            }
            if post.sender_gone {
                return Received::Closed;
            }
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Received::Empty;
            }
            post = self.shared.wait(post, left);
        }
    }

    /// How many items were thrown away because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.shared.post().dropped
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

    /// Sleeps, but no longer than until the flag is raised.
    pub fn sleep(&self, duration: Duration) {
        const SLICE: Duration = Duration::from_millis(50);
        let began = Instant::now();
        while !self.raised() {
            let left = duration.saturating_sub(began.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(SLICE));
        }
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
    fn news_outlives_the_items_around_it_and_keeps_its_place() {
        let (outbox, inbox) = mailbox(2, WhenFull::DropOldest);
        let never = StopFlag::default();
        outbox.send(1, &never);
        outbox.tell(100);
        for n in 2..6 {
            outbox.send(n, &never);
        }
        let received: Vec<_> = (0..4).map(|_| inbox.try_receive()).collect();
        use Received::{Empty, Item};
        assert_eq!(received, [Item(100), Item(4), Item(5), Empty]);
        assert_eq!(inbox.dropped(), 3);
        outbox.tell(101);
        drop(outbox);
        assert_eq!(
            inbox.try_receive(),
            Item(101),
            "sent before the sender went"
        );
        assert_eq!(inbox.try_receive(), Received::Closed);
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
    fn what_nobody_will_read_is_not_kept() {
        let (outbox, inbox) = mailbox(1, WhenFull::Wait);
        outbox.tell(1);
        assert_eq!((outbox.waiting(), outbox.is_closed()), (1, false));
        drop(inbox);
        outbox.tell(2);
        assert_eq!((outbox.waiting(), outbox.is_closed()), (1, true));
    }

    #[test]
    fn a_dropped_worker_ends_though_nobody_reads() -> std::io::Result<()> {
        let (outbox, _unread) = mailbox(1, WhenFull::Wait);
        let (done, ended) = mailbox(1, WhenFull::Wait);
        let worker = Worker::spawn("stuck", move |stop| {
            while outbox.send(0, stop) {}
            done.tell(());
        })?;
        drop(worker);
        assert_eq!(ended.receive(Duration::from_secs(10)), Received::Item(()));
        Ok(())
    }
}
