//! The library, its tests and its examples build with Rust 1.85. There may be no such compiler here, so this looks
//! for the one thing that newer ones accept without a warning: `let` within `&&` (Rust 1.88). (That the library calls
//! no newer function of std is checked by clippy.)

use std::path::{Path, PathBuf};

use syn::visit::Visit;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

struct LetChains(usize);

impl<'a> Visit<'a> for LetChains {
    fn visit_expr_binary(&mut self, binary: &'a syn::ExprBinary) {
        let is_let = |expr: &syn::Expr| matches!(expr, syn::Expr::Let(_));
        self.0 += usize::from(is_let(&binary.left) || is_let(&binary.right));
        syn::visit::visit_expr_binary(self, binary);
    }
}

fn look_at(path: &Path, found: &mut Vec<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a directory of the sources") {
            look_at(&entry.expect("an entry").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let source = std::fs::read_to_string(path).expect("a source file");
        let mut chains = LetChains(0);
        chains.visit_file(&syn::parse_file(&source).expect("the source parses"));
        if chains.0 > 0 {
            found.push(format!("{}: {}", path.display(), chains.0));
        }
    }
}

#[test]
fn all_rust_keeps_to_the_syntax_of_rust_1_85() {
    let mut found = Vec::new();
    for dir in ["src", "tests", "examples/rust", "fuzz/fuzz_targets"] {
        look_at(&root().join(dir), &mut found);
    }
    assert!(found.is_empty(), "let chains, which Rust 1.85 does not know: {found:?}");
}
