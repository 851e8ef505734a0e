//! The scripts that complete the command in shells.

use super::croquis;
use std::process::Command;

#[test]
fn every_shell_has_a_script_with_all_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = croquis(&["completions", shell]).success().out;
        for word in ["txt2img", "negative-prompt", "completions"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    let words = ["'tcsh'", "bash", "zsh", "fish"];
    assert_eq!(croquis(&["completions", "tcsh"]).complaint(2, &words), None);
}

#[test]
#[cfg(unix)]
fn bash_completes_commands_options_and_values() {
    let script = croquis(&["completions", "bash"]).success().out;
    // Bash calls the function with the words of the line; the last one is to be completed.
    let complete = |words: &[&str]| {
        let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let call = format!(
            "{script}\nCOMP_WORDS=({list})\nCOMP_CWORD={}\n_croquis croquis '{last}' '{before}'\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &call]).output();
        let output = output.expect("bash starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(complete(&["croquis", "txt2"]), "txt2img\n");
    assert_eq!(complete(&["croquis", "txt2img", "--storag"]), "--storage\n");
    assert_eq!(complete(&["croquis", "txt2img", "--storage", "pa"]), "packed\n");
}
