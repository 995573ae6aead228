//! Pictures that the program itself hands in: of a camera that only it can read, or of its own renderer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{FrameSource, Picture, SourceError};
use crate::worker::{Inbox, Outbox, Received, StopFlag, WhenFull, mailbox};

/// A camera from which nothing comes for so long is taken for lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many pictures wait for whoever reads them; older ones are dropped.
const WAITING: usize = 8;

/// A picture that is made where it is read, on the camera's own thread.
struct Undeveloped {
    develop: Box<dyn FnOnce() -> Picture + Send>,
    pushed: Instant,
}

/// Hands pictures in.
pub struct Pusher(Outbox<Undeveloped>);

/// The camera whose pictures are handed in: [`SourceSpec::Pushed`](super::SourceSpec::Pushed). One reader gets each picture.
#[derive(Clone)]
pub struct Pushed {
    name: Arc<str>,
    rate: f64,
    waiting: Arc<Inbox<Undeveloped>>,
}

/// A camera of that name and so many pictures a second, and who hands its pictures in.
pub fn pushed(name: &str, rate: f64) -> (Pusher, Pushed) {
    let (outbox, inbox) = mailbox(WAITING, WhenFull::DropOldest);
    let source = Pushed {
        name: name.into(),
        rate,
        waiting: Arc::new(inbox),
    };
    (Pusher(outbox), source)
}

impl Pusher {
    /// Hands a picture in; its time is in seconds of the camera's own clock.
    pub fn push(&self, picture: Picture) {
        self.push_undeveloped(move || picture);
    }

    /// Hands in what makes a picture, on the thread that reads it.
    pub fn push_undeveloped(&self, develop: impl FnOnce() -> Picture + Send + 'static) {
        let develop = Box::new(develop);
        let pushed = Instant::now();
        self.0
            .send(Undeveloped { develop, pushed }, &StopFlag::default());
    }
}

impl Pushed {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The picture that waits longest, if one does: for programs without capture threads.
    pub fn try_next(&self) -> Option<Picture> {
        match self.waiting.try_receive() {
            Received::Item(picture) => Some(picture.develop()),
            Received::Empty | Received::Closed => None,
        }
    }
}

impl Undeveloped {
    fn develop(self) -> Picture {
        let mut picture = (self.develop)();
        picture
            .arrival
            .get_or_insert_with(|| (self.pushed, self.pushed.elapsed()));
        picture
    }
}

impl FrameSource for Pushed {
    fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        match self.waiting.receive(PATIENCE) {
            Received::Item(picture) => Ok(Some(picture.develop())),
            Received::Closed => Ok(None),
            Received::Empty => Err(SourceError::Webcam {
                name: self.name.to_string(),
                error: "no picture of it was handed in for a while".into(),
            }),
        }
    }

    fn rate(&self) -> Option<f64> {
        Some(self.rate)
    }
}

impl PartialEq for Pushed {
    /// Whether they are the same camera.
    fn eq(&self, other: &Pushed) -> bool {
        Arc::ptr_eq(&self.waiting, &other.waiting)
    }
}

impl std::fmt::Debug for Pushed {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Pushed({:?})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    fn picture(time: f64) -> Picture {
        Picture {
            time,
            image: RgbImage::new(4, 3),
            arrival: None,
        }
    }

    #[test]
    fn pictures_come_in_order_and_the_oldest_go_when_nobody_reads() {
        let (pusher, mut source) = pushed("own", 30.0);
        for n in 0..WAITING as u32 + 2 {
            pusher.push_undeveloped(move || picture(f64::from(n)));
        }
        assert_eq!(source.try_next().map(|picture| picture.time), Some(2.0));
        let next = source.next_picture().ok().flatten();
        assert!(next.is_some_and(|next| next.time == 3.0 && next.arrival.is_some()));
        drop(pusher);
        let mut rest = 0;
        while let Ok(Some(_)) = source.next_picture() {
            rest += 1;
        }
        assert_eq!(rest, WAITING - 2, "and then the camera is at its end");
    }
}
