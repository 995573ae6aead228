//! Calibrations on disk: our own TOML, that of aniposelib and Pose2Sim, JSON with OpenCV's names, and Qualisys' `.qca.txt`.
//!
//! | file | world | written |
//! |---|---|---|
//! | ours (`format = "bevy_pose_capture cameras"`) | y up | yes |
//! | aniposelib, Pose2Sim (`[cam_0]` … sections) | z up, as Pose2Sim has it | yes |
//! | JSON (`{"cameras": [{"name", "width", "height", "K", "dist", "R", "t"}]}`) | as `world_up` says, else z up | no |
//! | Qualisys (`.qca.txt`, XML) | z up | no |
//!
//! Cameras are told in OpenCV's way in all of them but the last: `x_camera = R x_world + t`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use serde::{Deserialize, Serialize};

use crate::camera::{Distortion, Extrinsics, Intrinsics, View};

/// What goes wrong with files of cameras.
#[derive(Debug, thiserror::Error)]
pub enum CameraFileError {
    /// The file cannot be read.
    #[error("cannot read the cameras {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is of no kind that is known, or broken.
    #[error("{path} holds no cameras: {error}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// There are more or fewer cameras than clips.
    #[error(
        "{clips} clips were given for {} cameras ({}); give one clip for each", .cameras.len(), .cameras.join(", ")
    )]
    OtherCount {
        /// How many clips there are.
        clips: usize,
        /// Names of the cameras.
        cameras: Vec<String>,
    },
    /// The file cannot be written.
    #[error("cannot write the cameras {path}: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Cameras as a file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraFile {
    /// The cameras, in the file's own world.
    pub views: Vec<View>,
    /// Which way is up in that world.
    pub up: DVec3,
}

impl CameraFile {
    /// What turns the file's world into Bevy's: its up into +y.
    pub fn bevy_from_file(&self) -> DMat3 {
        let up = self.up.normalize_or(DVec3::Y);
        DMat3::from_quat(DQuat::from_rotation_arc(up, DVec3::Y))
    }

    /// The cameras in Bevy's world, y up. A world that is z up is turned about x.
    pub fn into_bevy(self) -> Vec<View> {
        let turn = self.bevy_from_file();
        let turned = |mut view: View| {
            view.extrinsics = view.extrinsics.in_moved_world(1.0, turn, DVec3::ZERO);
            view
        };
        self.views.into_iter().map(turned).collect()
    }
}

/// The camera of each clip: by name where every clip's name holds that of one camera (`take3_cam01` is of `cam01`), else in the
/// order of the file.
///
/// # Errors
/// [`CameraFileError::OtherCount`] where there is not one for each.
pub fn for_clips(views: Vec<View>, clips: &[&str]) -> Result<Vec<View>, CameraFileError> {
    if views.len() != clips.len() {
        return Err(CameraFileError::OtherCount {
            clips: clips.len(),
            cameras: views.into_iter().map(|view| view.name).collect(),
        });
    }
    let of_clip = |clip: &&str| {
        let mut named = views.iter().filter(|view| holds_name(clip, &view.name));
        named.next().filter(|_| named.next().is_none())
    };
    let by_name: Option<Vec<&View>> = clips.iter().map(of_clip).collect();
    let each_once = |found: &Vec<&View>| {
        let names: std::collections::BTreeSet<&str> =
            found.iter().map(|view| view.name.as_str()).collect();
        names.len() == found.len()
    };
    let by_name = by_name.filter(each_once);
    let by_name: Option<Vec<View>> = by_name.map(|found| found.into_iter().cloned().collect());
    Ok(by_name.unwrap_or(views))
}

/// Whether a clip's name holds a camera's: `cam_1` is not in `cam_10`.
fn holds_name(clip: &str, name: &str) -> bool {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    !name.is_empty()
        && clip.match_indices(name).any(|(at, _)| {
            let before = clip[..at].chars().next_back();
            let after = clip[at + name.len()..].chars().next();
            let splits =
                |outer: Option<char>, inner: Option<char>| is_digit(outer) && is_digit(inner);
            let mut name = name.chars();
            let (first, last) = (name.clone().next(), name.next_back());
            !splits(before, first) && !splits(after, last)
        })
}

/// Reads a file of cameras of any kind that is known.
///
/// # Errors
/// [`CameraFileError`], which names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<CameraFile, CameraFileError> {
    let text = std::fs::read_to_string(path).map_err(|error| CameraFileError::Read {
        path: path.into(),
        error,
    })?;
    parse(&text).map_err(|error| CameraFileError::Broken {
        path: path.into(),
        error,
    })
}

/// Reads cameras from a file's text.
fn parse(text: &str) -> Result<CameraFile, String> {
    let start = text.trim_start();
    let mut file = if start.starts_with('{') {
        from_json(text)
    } else if start.starts_with('<') {
        from_qualisys(text)
    } else {
        from_toml(text)
    }?;
    if file.views.is_empty() {
        return Err("it names none".into());
    }
    for view in &mut file.views {
        let lens = &view.intrinsics;
        let rotation = view.extrinsics.rotation;
        let off = (rotation * rotation.transpose() - DMat3::IDENTITY).to_cols_array();
        let sound = lens.focal.is_finite()
            && lens.focal.min_element() > 0.0
            && lens.width > 0
            && lens.height > 0
            && lens.principal.is_finite()
            && lens.distortion.to_array().iter().all(|k| k.is_finite())
            && view.extrinsics.translation.is_finite()
            && off.iter().all(|off| off.abs() < 0.01)
            && rotation.determinant() > 0.0;
        if !sound {
            return Err(format!(
                "the numbers of its camera {} are those of no camera",
                view.name
            ));
        }
        // Files keep some digits only, and the inverse of a rotation is taken for its transpose.
        view.extrinsics.rotation = super::projection::orthonormal(rotation);
    }
    Ok(file)
}

#[derive(Serialize, Deserialize)]
struct OwnFile {
    format: String,
    version: u32,
    camera: Vec<OwnCamera>,
}

#[derive(Serialize, Deserialize)]
struct OwnCamera {
    name: String,
    size: [u32; 2],
    focal: [f64; 2],
    principal: [f64; 2],
    /// k1, k2, p1, p2, k3.
    #[serde(default)]
    distortion: [f64; 5],
    /// `camera_from_world`, row by row.
    rotation: [[f64; 3]; 3],
    translation: [f64; 3],
}

const FORMAT: &str = "bevy_pose_capture cameras";

fn from_rows(rows: [[f64; 3]; 3]) -> DMat3 {
    DMat3::from_cols_array_2d(&rows).transpose()
}

fn to_rows(matrix: &DMat3) -> [[f64; 3]; 3] {
    matrix.transpose().to_cols_array_2d()
}

fn from_toml(text: &str) -> Result<CameraFile, String> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    if table.contains_key("format") {
        let file: OwnFile = table
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        if file.format != FORMAT || file.version != 1 {
            return Err(format!(
                "it is {} version {}, not {FORMAT} version 1",
                file.format, file.version
            ));
        }
        let view = |camera: OwnCamera| View {
            name: camera.name,
            intrinsics: Intrinsics {
                width: camera.size[0],
                height: camera.size[1],
                focal: camera.focal.into(),
                principal: camera.principal.into(),
                distortion: Distortion::from_array(camera.distortion),
            },
            extrinsics: Extrinsics {
                rotation: from_rows(camera.rotation),
                translation: camera.translation.into(),
            },
        };
        return Ok(CameraFile {
            views: file.camera.into_iter().map(view).collect(),
            up: DVec3::Y,
        });
    }
    let mut views = Vec::new();
    for (section, value) in table {
        if section == "metadata" {
            continue;
        }
        let camera: AniposeCamera = value.try_into().map_err(|error: toml::de::Error| {
            format!("its section {section}: {}", error.message())
        })?;
        views.push(camera.into_view(&section)?);
    }
    Ok(CameraFile {
        views,
        up: DVec3::Z,
    })
}

/// A section of aniposelib's calibration.
#[derive(Deserialize)]
struct AniposeCamera {
    name: Option<String>,
    size: [f64; 2],
    matrix: [[f64; 3]; 3],
    #[serde(default)]
    distortions: Vec<f64>,
    /// A rotation vector, radians.
    rotation: [f64; 3],
    translation: [f64; 3],
    #[serde(default)]
    fisheye: bool,
}

/// Coefficients in OpenCV's order, k1, k2, p1, p2, k3. Its further ones are those of a lens that we do not know.
fn distortion(camera: &str, told: &[f64]) -> Result<Distortion, String> {
    if told.iter().skip(5).any(|k| *k != 0.0) {
        return Err(format!(
            "its camera {camera} has {} coefficients of distortion, and five are known (k1, k2, p1, p2, k3); calibrate it with five",
            told.len()
        ));
    }
    let k = |n: usize| told.get(n).copied().unwrap_or(0.0);
    Ok(Distortion::from_array(std::array::from_fn(k)))
}

impl AniposeCamera {
    fn into_view(self, section: &str) -> Result<View, String> {
        let name = self.name.clone().unwrap_or_else(|| section.into());
        if self.fisheye {
            return Err(format!(
                "its camera {name} has a fisheye lens, which is not known here; calibrate it without"
            ));
        }
        let turn = DVec3::from(self.rotation);
        let rotation = match turn.try_normalize() {
            Some(axis) => DMat3::from_axis_angle(axis, turn.length()),
            None => DMat3::IDENTITY,
        };
        let distortion = distortion(&name, &self.distortions)?;
        Ok(View {
            name,
            intrinsics: Intrinsics {
                width: self.size[0].round() as u32,
                height: self.size[1].round() as u32,
                focal: DVec2::new(self.matrix[0][0], self.matrix[1][1]),
                principal: DVec2::new(self.matrix[0][2], self.matrix[1][2]),
                distortion,
            },
            extrinsics: Extrinsics {
                rotation,
                translation: self.translation.into(),
            },
        })
    }
}

fn from_json(text: &str) -> Result<CameraFile, String> {
    #[derive(Deserialize)]
    struct File {
        world_up: Option<[f64; 3]>,
        cameras: Vec<Camera>,
    }
    #[derive(Deserialize)]
    #[allow(non_snake_case, reason = "the names of the format")]
    struct Camera {
        name: String,
        width: u32,
        height: u32,
        K: [[f64; 3]; 3],
        #[serde(default)]
        dist: Vec<f64>,
        R: [[f64; 3]; 3],
        t: [f64; 3],
    }
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let view = |camera: Camera| {
        Ok::<View, String>(View {
            intrinsics: Intrinsics {
                width: camera.width,
                height: camera.height,
                focal: DVec2::new(camera.K[0][0], camera.K[1][1]),
                principal: DVec2::new(camera.K[0][2], camera.K[1][2]),
                distortion: distortion(&camera.name, &camera.dist)?,
            },
            extrinsics: Extrinsics {
                rotation: from_rows(camera.R),
                translation: camera.t.into(),
            },
            name: camera.name,
        })
    };
    let views: Result<Vec<View>, String> = file.cameras.into_iter().map(view).collect();
    Ok(CameraFile {
        views: views?,
        up: file.world_up.map_or(DVec3::Z, DVec3::from),
    })
}

/// Qualisys writes intrinsics in 64ths of a pixel, places in millimetres, and rotations whose rows are the camera's axes:
/// right, up, backwards. Principal points are counted from the whole sensor, of which `fov_video` is the part that is filmed.
/// Cameras that only see markers (without a lens for video) are left out.
fn from_qualisys(text: &str) -> Result<CameraFile, String> {
    const PART: f64 = 64.0;
    let document = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
    let mut views = Vec::new();
    for camera in document
        .descendants()
        .filter(|node| node.has_tag_name("camera"))
    {
        let name = camera.attribute("serial").unwrap_or("camera").to_owned();
        if !camera.children().any(|node| node.has_tag_name("fov_video")) {
            continue;
        }
        let child = |tag: &str| {
            let mut found = camera.children().filter(|node| node.has_tag_name(tag));
            found
                .next()
                .ok_or_else(|| format!("its camera {name} lacks <{tag}>"))
        };
        let (picture, transform, lens) = (
            child("fov_video")?,
            child("transform")?,
            child("intrinsic")?,
        );
        let number = |node: roxmltree::Node, key: &str| -> Result<f64, String> {
            let value = node
                .attribute(key)
                .and_then(|value| value.trim().parse::<f64>().ok());
            value.ok_or_else(|| format!("its camera {name} lacks the number {key}"))
        };
        let extent = |low: &str, high: &str| {
            Ok::<f64, String>(number(picture, high)? - number(picture, low)? + 1.0)
        };
        let mut axes = [[0.0; 3]; 3];
        for (row, values) in axes.iter_mut().enumerate() {
            for (column, value) in values.iter_mut().enumerate() {
                *value = number(transform, &format!("r{}{}", row + 1, column + 1))?;
            }
        }
        let centre = DVec3::new(
            number(transform, "x")?,
            number(transform, "y")?,
            number(transform, "z")?,
        ) * 1e-3;
        let rotation = DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0)) * from_rows(axes);
        let rotation = super::projection::orthonormal(rotation);
        views.push(View {
            intrinsics: Intrinsics {
                width: extent("left", "right")? as u32,
                height: extent("top", "bottom")? as u32,
                focal: DVec2::new(number(lens, "focalLengthU")?, number(lens, "focalLengthV")?)
                    / PART,
                principal: DVec2::new(number(lens, "centerPointU")?, number(lens, "centerPointV")?)
                    / PART
                    - DVec2::new(number(picture, "left")?, number(picture, "top")?),
                distortion: Distortion {
                    k1: number(lens, "radialDistortion1")?,
                    k2: number(lens, "radialDistortion2")?,
                    k3: number(lens, "radialDistortion3")?,
                    p1: number(lens, "tangentalDistortion1")?,
                    p2: number(lens, "tangentalDistortion2")?,
                },
            },
            extrinsics: Extrinsics {
                rotation,
                translation: -(rotation * centre),
            },
            name,
        });
    }
    Ok(CameraFile {
        views,
        up: DVec3::Z,
    })
}

/// Writes cameras of Bevy's world in our own form.
///
/// # Errors
/// [`CameraFileError::Write`].
pub fn write(path: &Path, views: &[View]) -> Result<(), CameraFileError> {
    let camera = |view: &View| OwnCamera {
        name: view.name.clone(),
        size: [view.intrinsics.width, view.intrinsics.height],
        focal: view.intrinsics.focal.into(),
        principal: view.intrinsics.principal.into(),
        distortion: view.intrinsics.distortion.to_array(),
        rotation: to_rows(&view.extrinsics.rotation),
        translation: view.extrinsics.translation.into(),
    };
    let file = OwnFile {
        format: FORMAT.into(),
        version: 1,
        camera: views.iter().map(camera).collect(),
    };
    let text = toml::to_string_pretty(&file).map_err(std::io::Error::other);
    save(path, text)
}

/// Writes cameras of Bevy's world as aniposelib and Pose2Sim read them, z up.
///
/// # Errors
/// [`CameraFileError::Write`].
pub fn write_anipose(path: &Path, views: &[View]) -> Result<(), CameraFileError> {
    let turn = DMat3::from_quat(DQuat::from_rotation_arc(DVec3::Y, DVec3::Z));
    let mut text = String::new();
    for (n, view) in views.iter().enumerate() {
        let lens = &view.intrinsics;
        let pose = view.extrinsics.in_moved_world(1.0, turn, DVec3::ZERO);
        let (axis, angle) = DQuat::from_mat3(&pose.rotation).to_axis_angle();
        let (r, t, d) = (axis * angle, pose.translation, lens.distortion);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "[cam_{n}]\nname = {:?}\nsize = [{:.1}, {:.1}]\nmatrix = [[{}, 0.0, {}], [0.0, {}, {}], [0.0, 0.0, 1.0]]\n\
             distortions = [{}, {}, {}, {}, {}]\nrotation = [{}, {}, {}]\ntranslation = [{}, {}, {}]\nfisheye = false\n\n",
            view.name,
            f64::from(lens.width),
            f64::from(lens.height),
            float(lens.focal.x),
            float(lens.principal.x),
            float(lens.focal.y),
            float(lens.principal.y),
            float(d.k1),
            float(d.k2),
            float(d.p1),
            float(d.p2),
            float(d.k3),
            float(r.x),
            float(r.y),
            float(r.z),
            float(t.x),
            float(t.y),
            float(t.z),
        );
    }
    text.push_str("[metadata]\nadjusted = false\nerror = 0.0\n");
    save(path, Ok(text))
}

/// A number that TOML takes for a float.
fn float(value: f64) -> String {
    format!("{value:?}")
}

fn save(path: &Path, text: Result<String, std::io::Error>) -> Result<(), CameraFileError> {
    text.and_then(|text| std::fs::write(path, text))
        .map_err(|error| CameraFileError::Write {
            path: path.into(),
            error,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::room;

    fn views() -> Vec<View> {
        let mut views = room(3);
        views[1].intrinsics.distortion = Distortion::from_array([-0.1, 0.02, 0.001, -0.002, 0.0]);
        views
    }

    fn same(a: &[View], b: &[View]) -> bool {
        let place = DVec3::new(0.3, 1.2, -0.4);
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| {
                let near = a
                    .project(place)
                    .zip(b.project(place))
                    .is_some_and(|(p, q)| p.distance(q) < 1e-6);
                a.name == b.name && a.intrinsics.width == b.intrinsics.width && near
            })
    }

    #[test]
    fn what_is_written_is_read_again_in_either_form() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (own, anipose) = (
            folder.path().join("own.toml"),
            folder.path().join("anipose.toml"),
        );
        write(&own, &views())?;
        write_anipose(&anipose, &views())?;
        assert!(same(&read(&own)?.into_bevy(), &views()));
        let file = read(&anipose)?;
        assert_eq!(file.up, DVec3::Z);
        assert!(same(&file.into_bevy(), &views()));
        Ok(())
    }

    #[test]
    fn cameras_stay_in_the_order_of_their_file_however_many_and_however_named()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("anipose.toml");
        let mut twelve = room(12);
        twelve[0].name = "left".into();
        twelve[1].name = "back".into();
        write_anipose(&path, &twelve)?;
        assert!(same(&read(&path)?.into_bevy(), &twelve));
        Ok(())
    }

    #[test]
    fn clips_find_their_cameras_by_name_and_else_by_order() {
        let named = |names: &[&str]| -> Vec<View> {
            let view = |name: &&str| View {
                name: (*name).into(),
                ..room(1)[0].clone()
            };
            names.iter().map(view).collect()
        };
        let order = |names: &[&str], clips: &[&str]| -> Vec<String> {
            let found = for_clips(named(names), clips).unwrap_or_default();
            found.into_iter().map(|view| view.name).collect()
        };
        let cameras = ["cam_1", "cam_2", "cam_10"];
        let clips = ["take_cam_10", "take_cam_1", "take_cam_2"];
        assert_eq!(order(&cameras, &clips), ["cam_10", "cam_1", "cam_2"]);
        assert_eq!(order(&cameras, &["a", "b", "take_cam_1"]), cameras);
        let error = for_clips(named(&cameras), &["a"]).err();
        assert!(error.is_some_and(|error| error.to_string().contains("cam_10")));
    }

    #[test]
    fn lenses_of_kinds_that_are_not_known_are_refused_by_name() {
        let camera = |rest: &str| {
            format!(
                "[cam_0]\nname = \"roof\"\nsize = [640.0, 480.0]\nmatrix = [[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]\n\
                 rotation = [0.0, 0.0, 0.0]\ntranslation = [0.0, 0.0, 0.0]\n{rest}"
            )
        };
        assert!(parse(&camera("distortions = [0.1, 0.0, 0.0, 0.0, 0.0]")).is_ok());
        for (rest, word) in [
            ("fisheye = true", "fisheye"),
            (
                "distortions = [0.1, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0]",
                "8 coefficients",
            ),
            ("distortions = [nan]", "no camera"),
        ] {
            let error = parse(&camera(rest)).err().unwrap_or_default();
            assert!(
                error.contains(word) && error.contains("roof"),
                "{rest}: {error}"
            );
        }
    }

    #[test]
    fn qualisys_cameras_stand_where_they_say_and_look_ahead() -> Result<(), String> {
        // A camera 2 m high at x = 3 m, looking at the z axis: right is y, up is z, backwards is x.
        let text = r#"<calibration><cameras><camera serial="one"><fov_video bottom="1919" left="0" right="1087" top="0"/>
            <transform r11="0" r12="1" r13="0" r21="0" r22="0" r23="1" r31="1" r32="0" r33="0" x="3000" y="0" z="2000"/>
            <intrinsic centerPointU="34784" centerPointV="61408" focalLengthU="107520" focalLengthV="107520"
             radialDistortion1="-0.04" radialDistortion2="0.1" radialDistortion3="0" tangentalDistortion1="0.001"
             tangentalDistortion2="0.002"/></camera></cameras></calibration>"#;
        let file = parse(text)?;
        let view = &file.views[0];
        assert_eq!(
            (
                view.name.as_str(),
                view.intrinsics.width,
                view.intrinsics.height
            ),
            ("one", 1088, 1920)
        );
        assert!(view.extrinsics.centre().distance(DVec3::new(3.0, 0.0, 2.0)) < 1e-9);
        let middle = view.project(DVec3::new(0.0, 0.0, 2.0));
        assert!(
            middle.is_some_and(|p| p.distance(DVec2::new(543.5, 959.5)) < 1e-6),
            "{middle:?}"
        );
        let above = view.project(DVec3::new(0.0, 0.0, 2.5));
        assert!(above.is_some_and(|p| p.y < 900.0));
        Ok(())
    }

    #[test]
    fn what_is_no_file_of_cameras_says_why() {
        for (text, word) in [
            ("", "none"),
            ("hello", "expected"),
            ("{\"cameras\": []}", "none"),
            ("<calibration></calibration>", "none"),
            ("[cam_0]\nsize = [1, 2]\n", "cam_0"),
        ] {
            let error = parse(text).err().unwrap_or_default();
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
