//! The thread that writes takes, and the `.glb` of each when it has ended.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{StartRecording, TakeSaved};
use crate::record::bake::bake;
use crate::record::gltf::{AvatarFile, GltfError};
use crate::record::take::{Take, TakeError, TakeFrame, TakeHeader, TakeWriter};
use crate::retarget::solve::Rig;
use crate::worker::{Inbox, Outbox, Received, StopFlag};

/// What the thread is told.
pub(super) enum Line {
    Header(TakeHeader),
    Frame(TakeFrame),
    Stop,
}

/// What it says.
pub(super) enum Outcome {
    Trouble(String),
    /// What was wrong with the disk is so no longer.
    Mended,
    Saved(TakeSaved),
}

/// A file name with an extension added; what looks like one already (`scene.1`) is part of the name.
pub(super) fn with_added(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// The name itself, or with a number where a take of that name is there, or about to be: no take is written over.
pub(super) fn free_name(file: PathBuf, in_use: &[PathBuf]) -> PathBuf {
    let taken = |file: &Path| {
        let there = |extension| with_added(file, extension).exists();
        there("take") || there("glb") || in_use.iter().any(|used| used == file)
    };
    let numbered = (2..).map(|n| PathBuf::from(format!("{}_{n}", file.display())));
    std::iter::once(file.clone())
        .chain(numbered)
        .find(|file| !taken(file))
        .unwrap_or(file)
}

/// The recording thread. A disk that fails does not end the take: its frames stay in memory, for the `.glb`, and to be written once more.
pub(super) fn write(
    start: &StartRecording,
    lines: &Inbox<Line>,
    results: &Outbox<Outcome>,
    stop: &StopFlag,
) {
    let path = with_added(&start.file, "take");
    // What stays where no camera ran.
    let mut take = Take::new("nothing", (0, 0));
    let mut failed: Option<String> = None;
    // A disk that fails says so with every line; the user is told once.
    let mut tell = |written: Option<Result<(), TakeError>>| {
        if let (Some(Err(error)), None) = (written, &failed) {
            results.send(Outcome::Trouble(error.to_string()), stop);
            failed = Some(error.to_string());
        }
    };
    // Whatever the avatar is worth, a take becomes a `.glb`.
    let mut skin = (start.avatar.as_deref(), &start.bone_table);
    let no_table = HashMap::new();
    if let Err(error) = rig_of(skin.0, skin.1) {
        let text = format!("{error}; the take gets the mannequin's skin in its place");
        results.send(Outcome::Trouble(text), stop);
        skin = (None, &no_table);
    }
    // A disk that fails is worse, and told after it.
    let mut writer = match TakeWriter::create(&path) {
        Ok(writer) => Some(writer),
        Err(error) => {
            tell(Some(Err(error)));
            None
        }
    };
    let mut begun = false;
    // A raised flag means that the app is ending: what was sent is still written.
    loop {
        match lines.receive(Duration::from_millis(200)) {
            Received::Item(Line::Header(header)) => {
                tell(writer.as_mut().map(|writer| writer.begin(&header)));
                take.header = header;
                begun = true;
            }
            Received::Item(Line::Frame(frame)) => {
                tell(writer.as_mut().map(|writer| writer.push(&frame)));
                take.frames.push(frame);
            }
            Received::Empty if !stop.raised() => tell(writer.as_mut().map(TakeWriter::flush)),
            Received::Item(Line::Stop) | Received::Empty | Received::Closed => break,
        }
    }
    if !begun {
        tell(writer.as_mut().map(|writer| writer.begin(&take.header)));
    }
    tell(writer.as_mut().map(TakeWriter::flush));
    if lines.dropped() > 0 {
        let text = format!(
            "{} frames came faster than the disk took them and are not in the take",
            lines.dropped()
        );
        results.send(Outcome::Trouble(text), stop);
    }
    // A disk that was full for a while may have room now.
    drop(writer);
    if failed.is_some() && take.write(&path).is_ok() {
        failed = None;
        results.send(Outcome::Mended, stop);
    }
    let glb = export(&take, skin.0, skin.1, &with_added(&start.file, "glb")).map_err(|error| {
        let kept = if failed.is_none() {
            "; the take itself is kept"
        } else {
            ""
        };
        format!("{error}{kept}")
    });
    let take = failed.map_or(Ok(path), Err);
    results.send(Outcome::Saved(TakeSaved { take, glb }), stop);
}

/// The avatar's file and its bones; our mannequin's where none is named.
fn rig_of(
    avatar: Option<&Path>,
    bone_table: &HashMap<String, String>,
) -> Result<(AvatarFile, Rig), GltfError> {
    let file = avatar.map_or_else(AvatarFile::mannequin, AvatarFile::open)?;
    let rig = file.rig(bone_table)?;
    Ok((file, rig))
}

/// Puts the person whom a take is about on an avatar and writes the `.glb`. `bone_table` names the avatar's bones where
/// guessing fails.
///
/// # Errors
/// [`GltfError`] when the take has nobody in it, the avatar cannot be read or driven, or the file not written.
pub fn export(
    take: &Take,
    avatar: Option<&Path>,
    bone_table: &HashMap<String, String>,
    out: &Path,
) -> Result<PathBuf, GltfError> {
    let (file, mut rig) = rig_of(avatar, bone_table)?;
    let person = take.main_person();
    if person.is_empty() {
        return Err(GltfError::Nobody);
    }
    let animation = bake(take, &person, &mut rig);
    let bytes = file.with_animation("take", &animation, &rig)?;
    // Under another name until it is whole: whatever ends the program leaves no half of a file.
    let unfinished = with_added(out, "unfinished");
    std::fs::write(&unfinished, bytes)
        .and_then(|()| std::fs::rename(&unfinished, out))
        .map_err(|error| GltfError::Write {
            path: out.into(),
            error,
        })?;
    Ok(out.into())
}
