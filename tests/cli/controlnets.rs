//! Several ControlNets: their options go by order, and their numbers have to fit.

use super::{croquis, fresh, text};
use croquis::picture::Picture;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
const CONTROLNET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/controlnet-tiny");

/// Picture files of one colour, and the arguments of a run with two ControlNets.
fn arguments<'a>(edges: &'a str, depth: &'a str) -> Vec<&'a str> {
    for (file, value) in [(edges, 250), (depth, 20)] {
        let picture = Picture::new(64, 64, vec![value; 3 * 64 * 64]).expect("a picture");
        picture.save(file, &[]).expect("a file");
    }
    let first = ["--controlnet", CONTROLNET, "--control-image", edges];
    let second = ["--controlnet", CONTROLNET, "--control-image", depth];
    [&["txt2img", "noise", "--model", MODEL, "--steps", "1"][..], &first, &second].concat()
}

#[test]
fn options_of_several_go_by_order() {
    let [edges, depth, out] = ["edges.png", "depth.png", "steered.png"].map(fresh);
    let mut all = arguments(text(&edges), text(&depth));
    all.extend(["--control-scale", "0.7", "--control-scale", "0", "--control-start", "0.5"]);
    all.extend(["--output", text(&out)]);
    croquis(&all).success();
    let file = std::fs::read(&out).expect("a picture");
    let noted = String::from_utf8_lossy(&file);
    assert!(noted.contains("ControlNet weight: \"0.7, 0\""), "both scales are noted");
}

#[test]
fn numbers_that_do_not_fit() {
    let [edges, depth] = ["edges-2.png", "depth-2.png"].map(fresh);
    let all = arguments(text(&edges), text(&depth));
    let with = |more: &[&'static str]| croquis(&[&all[..], more].concat());
    let scales = ["--control-scale", "1", "--control-scale", "2", "--control-scale", "3"];
    let words = ["--control-scale: expected 1 or 2, one for each --controlnet, got 3"];
    assert_eq!(with(&scales).complaint(1, &words), None);
    let words = ["--control-image: expected 3, one for each --controlnet, got 2"];
    assert_eq!(with(&["--controlnet", CONTROLNET]).complaint(1, &words), None);
}
