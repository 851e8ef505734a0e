//! Single files opened through `ModelFiles`.

use crate::{Shapes, fresh, list, shrunk, zeros};
use croquis::ErrorKind;
use croquis::diffusion::Model;
use croquis::files::ModelFiles;
use croquis::internal::schedulers::Prediction;
use croquis::internal::weights::Source;
use std::fs;

fn file(shapes: &Shapes) -> croquis::Result<ModelFiles> {
    ModelFiles::single_file("a.safetensors", Source::from(zeros(shapes)))
}

#[test]
fn pickles_are_refused_with_how_to_convert_them() {
    for (name, start) in [("model.ckpt", &b"PK\x03\x04\0\0"[..]), ("model.pt", b"\x80\x02}q\0")] {
        let path = fresh(name);
        fs::write(&path, start).expect("a file");
        let error = ModelFiles::open(&path).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let message = error.to_string();
        for part in [
            "can run any code",
            &format!("torch.load({:?}", path.display().to_string()),
            "weights_only=True",
            "save_file(tensors, ",
            "model.safetensors\"",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let nowhere = ModelFiles::open(fresh("nowhere")).err().expect("nothing");
    assert_eq!(nowhere.kind(), ErrorKind::NotFound, "{nowhere}");
    let path = fresh("empty.safetensors");
    fs::write(&path, "").expect("a file");
    let empty = ModelFiles::open(&path).err().expect("nothing");
    assert_eq!(empty.kind(), ErrorKind::Format, "{empty}");
}

#[test]
fn missing_components_are_named() {
    let whole = shrunk(&list("ldm-sd15"));
    let some = |prefixes: &[&str]| -> Shapes {
        let kept = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        whole.iter().filter(|(name, _)| kept(name)).map(|(n, s)| (n.clone(), s.clone())).collect()
    };
    for (prefixes, expected) in [
        (&["model.diffusion_model."][..], "expected a vae, found unet only"),
        (&["first_stage_model."], "expected a scheduler, found vae only"),
        (
            &["model.diffusion_model.", "first_stage_model."],
            "expected a text_encoder, found unet, vae only",
        ),
    ] {
        let error = Model::open(&file(&some(prefixes)).expect("a file")).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().starts_with("a.safetensors: "), "{error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

#[test]
fn unknown_tensors_are_kept_in_a_list() {
    let mut shapes = shrunk(&list("ldm-sd15"));
    assert_eq!(file(&shapes).expect("a file").unknown_tensors(), [""; 0]);
    let strange = "model.diffusion_model.input_blocks.1.0.strange.weight";
    shapes.insert(strange.into(), vec![3]);
    shapes.insert("model_ema.diffusion_modelinput_blocks00weight".into(), vec![3]);
    assert_eq!(file(&shapes).expect("a file").unknown_tensors(), [strange]);
}

#[test]
fn the_prediction_can_be_given() {
    let files = file(&shrunk(&list("ldm-sd15"))).expect("a file");
    assert!(files.with_prediction(Prediction::Velocity).is_ok());
    let folder = fresh("no-scheduler");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("model_index.json"), "{}").expect("a file");
    let files = ModelFiles::open(&folder).expect("a folder");
    let error = files.with_prediction(Prediction::Epsilon).err().expect("no scheduler");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!("eps".parse::<Prediction>().ok(), Some(Prediction::Epsilon));
    assert!("noise".parse::<Prediction>().is_err());
}
