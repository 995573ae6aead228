//! Watches clips for the one person who walks about in them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bevy_pose_capture::calibrate::people::Moment;
use bevy_pose_capture::detect::{DetectSettings, Detector, Person2d};
use bevy_pose_capture::inference::{Engine, Model, Models, Task};
use bevy_pose_capture::record::overlay::draw_pose;
use bevy_pose_capture::record::take::{Take, TakeFrame};
use bevy_pose_capture::source::{Frame, SourceSpec};

use image::RgbImage;

use super::cameras::{Camera, look_about};
use super::screen::Screen;
use super::{AnyError, models, open};

/// Which networks look.
#[derive(clap::Args)]
pub struct Networks {
    /// Folder of models to use before the embedded ones.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Take this model for its task, by the name on its card. Of several for keypoints, `check` takes the last, and `people` looks
    /// with each of them; where none is named, with each one of the folder.
    #[arg(long)]
    prefer: Vec<String>,
    /// Threads for the networks.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Networks {
    /// The models at hand, the preferred ones first.
    fn open(&self) -> Result<Models, AnyError> {
        models::open(self.models.as_deref(), &self.prefer)
    }

    /// These networks, once with each one for keypoints that there is: of those that are preferred, else of the folder, else
    /// of the embedded ones. The one that is taken first elsewhere is the first.
    pub fn each_for_keypoints(&self) -> Result<Vec<Networks>, AnyError> {
        let models = self.open()?;
        #[cfg(feature = "embedded-models")]
        let embedded = Models::embedded();
        #[cfg(feature = "embedded-models")]
        let is_embedded = |own: &Model| embedded.iter().any(|m| m.card.sha256 == own.card.sha256);
        #[cfg(not(feature = "embedded-models"))]
        let is_embedded = |_: &Model| false;
        // Of two with the same name the first is taken.
        let mut known = BTreeSet::new();
        let of_task = models.iter().filter(|m| m.card.task == Task::Keypoints);
        let there: Vec<&Model> = of_task
            .filter(|model| known.insert(&model.card.name))
            .collect();
        let is_preferred = |model: &Model| self.prefer.contains(&model.card.name);
        let names = |wanted: &dyn Fn(&Model) -> bool| -> Vec<String> {
            let wanted = there.iter().filter(|model| wanted(model));
            wanted.map(|model| model.card.name.clone()).collect()
        };
        let mut chosen = names(&is_preferred);
        if chosen.is_empty() {
            chosen = names(&|model| !is_embedded(model));
        }
        if chosen.is_empty() {
            chosen.extend(there.first().map(|model| model.card.name.clone()));
        }
        let with = |name: String| Networks {
            models: self.models.clone(),
            prefer: [self.prefer.clone(), vec![name]].concat(),
            threads: self.threads,
        };
        Ok(chosen.into_iter().map(with).collect())
    }
}

/// What was seen.
pub struct Watched {
    /// The clips' names.
    pub names: Vec<String>,
    /// When each view's picture of each moment was taken, in seconds of its clip's own clock.
    pub stamps: Vec<Vec<Option<f64>>>,
    /// The person in each view, at each moment.
    pub moments: Vec<Moment>,
    /// The cameras that took the clips.
    pub cameras: Vec<Camera>,
}

impl Watched {
    /// How many pictures each clip has.
    pub fn pictures(&self) -> Vec<usize> {
        let count = |view: usize| {
            let stamps = self.stamps.iter();
            stamps.filter(|stamps| stamps[view].is_some()).count()
        };
        (0..self.names.len()).map(count).collect()
    }
}

/// What makes cameras of the names of clips and of the sizes of their pictures.
pub type MakeCameras<'a> =
    &'a mut dyn FnMut(&[String], &[(u32, u32)], &Screen) -> Result<Vec<Camera>, AnyError>;

/// Finds the person whom each clip is about.
pub fn watch(
    input: &[String],
    networks: &Networks,
    cameras: MakeCameras,
    screen: &mut Screen,
) -> Result<Watched, AnyError> {
    let specs: Vec<SourceSpec> = input.iter().map(|input| SourceSpec::parse(input)).collect();
    let mut clips = open(&specs)?;
    let models = networks.open()?;
    let looking = &models.of(Task::Keypoints)?.card.name;
    let engine = Engine::find();
    let names: Vec<String> = clips.names().into_iter().map(String::from).collect();
    let mut detectors = specs
        .iter()
        .map(|_| {
            Detector::new(
                &models,
                &engine,
                networks.threads,
                DetectSettings::default(),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    screen.begin(
        &format!("looking for people by {looking}"),
        Some(clips.length()),
    );
    let mut seen: Vec<(f64, Vec<Vec<Person2d>>)> = Vec::new();
    let mut stamps = Vec::new();
    let mut cameras = cameras(&names, &clips.sizes(), screen)?;
    while let Some(moment) = clips.next_moment()? {
        look_about(&mut cameras, &moment.frames);
        let mut views = vec![Vec::new(); specs.len()];
        for ((people, frame), detector) in views.iter_mut().zip(&moment.frames).zip(&mut detectors)
        {
            if let Some(frame) = frame {
                *people = detector.detect(&frame.image, frame.time)?.0;
            }
        }
        screen.show(|| {
            let frames = names.iter().zip(&moment.frames).zip(&views);
            let drawn = |((name, frame), people): ((&String, &Option<Frame>), &Vec<Person2d>)| {
                let mut picture = RgbImage::clone(&frame.as_ref()?.image);
                let width = picture.height() as f32 / 150.0;
                for person in people {
                    draw_pose(&mut picture, &person.pose, 1.0, width);
                }
                Some((name.clone(), picture))
            };
            frames.filter_map(drawn).collect()
        });
        seen.push((moment.time, views));
        let stamp = |frame: &Option<Frame>| frame.as_ref().map(|frame| frame.time);
        stamps.push(moment.frames.iter().map(stamp).collect());
        screen.step(String::new());
    }
    screen.end();
    for short in clips.cut_short() {
        screen.warn(short);
    }
    let leads: Vec<Vec<u32>> = (0..specs.len()).map(|view| lead(&seen, view)).collect();
    let moment = |(_, views): &(f64, Vec<Vec<Person2d>>)| {
        let person = |(people, lead): (&Vec<Person2d>, &Vec<u32>)| {
            let person = people.iter().find(|person| lead.contains(&person.id));
            person.map(|person| person.pose.clone())
        };
        views.iter().zip(&leads).map(person).collect()
    };
    Ok(Watched {
        names,
        stamps,
        moments: seen.iter().map(moment).collect(),
        cameras,
    })
}

/// The numbers of the person whom a view is about: who is largest for longest, as in a take.
fn lead(seen: &[(f64, Vec<Vec<Person2d>>)], view: usize) -> Vec<u32> {
    let mut take = Take::new("", (0, 0));
    for (time, views) in seen {
        take.frames.extend(views[view].iter().map(|person| {
            TakeFrame {
                time: *time,
                id: person.id,
                seen: person
                    .pose
                    .present()
                    .map(|(joint, p)| (joint, p.position.x, p.position.y, p.confidence.get()))
                    .collect(),
                lifted: Vec::new(),
                up: None,
                unseen: None,
            }
        }));
    }
    take.main_person()
}
