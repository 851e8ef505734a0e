//! Saving: what readers, other files and a full disk see of it.

use croquis::ErrorKind;
use croquis::picture::{Format, Picture, check_path};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A picture of one colour, too large for one write.
fn plain(value: u8) -> Picture {
    let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
    let bytes = (0..3 * 200 * 200).map(|i| noise(i) ^ value);
    Picture::new(200, 200, bytes.collect()).expect("a picture")
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn readers_never_see_a_part_of_a_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shared.png");
    let pictures = [plain(0), plain(255)];
    pictures[0].save(&file, &[]).expect("saved");
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let writers = [0, 1].map(|index| {
            let (picture, file) = (&pictures[index], &file);
            scope.spawn(move || (0..40).try_for_each(|_| picture.save(file, &[])))
        });
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let seen = Picture::open(&file).expect("a whole picture");
                assert!(pictures.contains(&seen), "neither picture");
                reads += 1;
            }
            reads
        });
        for writer in writers {
            writer.join().expect("no panic").expect("saved");
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("no panic")
    });
    assert!(reads > 0);
    assert_eq!(names(folder.path()), ["shared.png"]);
}

#[test]
fn other_files_of_the_folder_are_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.png.part"), "the user's").expect("a file");
    plain(0).save(at("a.png"), &[]).expect("saved");
    assert_eq!(fs::read(at("a.png.part")).expect("it"), b"the user's");
    assert_eq!(names(folder.path()), ["a.png", "a.png.part"]);
}

#[test]
#[cfg(unix)]
fn planted_links_are_not_followed_and_the_users_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("victim"), "kept").expect("a file");
    std::os::unix::fs::symlink("victim", at("a.png.part")).expect("a link");
    plain(0).save(at("a.png"), &[]).expect("saved");
    assert_eq!(fs::read(at("victim")).expect("it"), b"kept");
    fs::create_dir(at("pictures")).expect("a folder");
    std::os::unix::fs::symlink("pictures/b.png", at("link.png")).expect("a link");
    for value in [0, 255] {
        plain(value).save(at("link.png"), &[]).expect("saved");
        assert_eq!(Picture::open(at("pictures/b.png")).expect("it"), plain(value));
        assert!(at("link.png").is_symlink());
    }
    assert_eq!(names(&at("pictures")), ["b.png"]);
}

#[test]
#[cfg(unix)]
fn permissions_are_those_of_an_ordinary_file_or_of_the_replaced_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let mode = |name: &str| fs::metadata(at(name)).expect("it").permissions().mode() & 0o777;
    fs::write(at("ordinary"), "").expect("a file");
    plain(0).save(at("new.png"), &[]).expect("saved");
    assert_eq!(mode("new.png"), mode("ordinary"));
    fs::set_permissions(at("new.png"), fs::Permissions::from_mode(0o640)).expect("set");
    plain(1).save(at("new.png"), &[]).expect("saved");
    assert_eq!(mode("new.png"), 0o640);
}

#[test]
#[cfg(unix)]
fn devices_are_written_to() {
    use std::os::unix::fs::FileTypeExt;
    plain(0).save("/dev/null", &[]).expect("written");
    assert!(fs::metadata("/dev/null").expect("it").file_type().is_char_device());
    check_path("/dev/null").expect("a device is good");
}

#[test]
fn paths_are_checked_and_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file.png"), "kept").expect("a file");
    for good in ["new.png", "file.png"] {
        check_path(at(good)).expect(good);
    }
    let long = "a".repeat(300) + ".png";
    let bad = [
        (at("."), "got the folder"),
        (at("missing/a.png"), "does not exist"),
        (at("file.png/a.png"), "is not a folder"),
        (at(&long), "cannot be written"),
    ];
    for (path, words) in bad {
        let error = check_path(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains(words), "{error}");
        let error = plain(0).save(&path, &[]).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    assert_eq!(names(folder.path()), ["file.png"]);
    assert_eq!(fs::read(at("file.png")).expect("it"), b"kept");
}

#[test]
fn the_extension_or_the_caller_tells_the_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let starts = |name: &str, with: &[u8]| fs::read(at(name)).expect(name).starts_with(with);
    for (name, start) in [("a.jpg", &b"\xff\xd8"[..]), ("a.webp", b"RIFF"), ("a", b"\x89PNG")] {
        plain(0).save(at(name), &[("parameters", "x")]).expect(name);
        assert!(starts(name, start), "{name}");
    }
    plain(0).save_as(at("b.png"), Format::WebP, &[]).expect("saved");
    assert!(starts("b.png", b"RIFF"));
    let error = plain(0).save(at("a.gif"), &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(
        error.to_string().contains("a.gif: expected a name that ends in .png, .jpg"),
        "{error}"
    );
}
