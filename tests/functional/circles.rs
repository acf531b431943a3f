//! Checks that no file uses another that uses it in turn, directly or through others. A `pub use` counts as a use of the file
//! that defines the item. Unit tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::layers::{code, files};

/// The path of a module, from the root of its crate.
type Path = Vec<String>;

/// Splits code into words, `::`, and other characters. Leaves out texts in quotes.
fn tokens(code: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut rest) = (Vec::new(), code);
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else if first == '"' && !(rest.starts_with("\"'") && matches!(tokens.last(), Some(&("'" | "\\")))) {
            let inner = &rest[1..];
            let is_end = |at: usize| inner[..at].chars().rev().take_while(|c| *c == '\\').count() % 2 == 0;
            let end = inner.match_indices('"').find(|(at, _)| is_end(*at));
            rest = end.map_or("", |(at, _)| &inner[at + 1..]);
            continue;
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if !token.trim().is_empty() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

/// Adds what a tree of `use` names, each with its local name. Returns the tokens after the tree.
fn tree<'a>(prefix: &[&'a str], mut tokens: &'a [&'a str], named: &mut Vec<(Vec<&'a str>, &'a str)>) -> &'a [&'a str] {
    let mut path = prefix.to_vec();
    loop {
        match tokens {
            ["{", rest @ ..] => {
                tokens = rest;
                while !matches!(tokens, ["}", ..] | []) {
                    tokens = tree(&path, tokens, named);
                    if let [",", rest @ ..] = tokens {
                        tokens = rest;
                    }
                }
                return tokens.get(1..).unwrap_or_default();
            }
            ["::", rest @ ..] => tokens = rest,
            ["as", name, rest @ ..] => {
                named.push((path, *name));
                return rest;
            }
            ["self", rest @ ..] if !path.is_empty() => tokens = rest,
            [word, rest @ ..] if word.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                path.push(*word);
                tokens = rest;
            }
            _ => {
                let name = path.last().copied().unwrap_or_default();
                named.push((path, name));
                return tokens;
            }
        }
    }
}

/// What a file uses, and where the items are that it exports for others.
#[derive(Default)]
struct Used {
    paths: Vec<Path>,
    exports: BTreeMap<String, Path>,
}

/// A path from the root of the crate. `None` if it leads to another crate.
fn absolute(module: &[String], path: &[&str], known: &dyn Fn(&[String]) -> bool) -> Option<Path> {
    let up = path.iter().take_while(|word| **word == "super").count();
    let from = match path.first()? {
        &"crate" => (&[][..], 1),
        &"self" => (module, 1),
        &"super" => (&module[..module.len().checked_sub(up)?], up),
        first => {
            let child: Path = module.iter().cloned().chain([(*first).to_owned()]).collect();
            known(&child).then_some((module, 0))?
        }
    };
    Some(from.0.iter().cloned().chain(path[from.1..].iter().map(|word| (*word).to_owned())).collect())
}

fn used(module: &[String], text: &str, known: &dyn Fn(&[String]) -> bool) -> Used {
    let code = code(text);
    let all = tokens(&code);
    let (mut used, mut imported) = (Used::default(), BTreeMap::new());
    let mut others: Vec<Vec<&str>> = Vec::new();
    let mut rest = &all[..];
    let mut before = "";
    while let [token, after @ ..] = rest {
        if *token == "use" {
            let mut named = Vec::new();
            rest = tree(&[], after, &mut named);
            for (path, name) in named {
                let Some(path) = absolute(module, &path, known) else { continue };
                imported.insert(name.to_owned(), path.clone());
                if before == "pub" || before == ")" {
                    used.exports.insert(name.to_owned(), path);
                } else {
                    used.paths.push(path);
                }
            }
            before = "";
            continue;
        }
        let mut path = vec![*token];
        rest = after;
        while let ["::", word, after @ ..] = rest
            && word.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            path.push(*word);
            rest = after;
        }
        // `in` begins a visibility, which is no use
        if path.len() > 1 && before != "in" {
            others.push(path);
        }
        before = token;
    }
    for path in others {
        let import = imported.get(path[0]).map(|import: &Path| {
            let more = path[1..].iter().map(|word| (*word).to_owned());
            import.iter().cloned().chain(more).collect()
        });
        used.paths.extend(import.or_else(|| absolute(module, &path, known)));
    }
    used
}

/// The module that defines what a path leads to.
fn defined(path: &[String], modules: &BTreeMap<Path, Used>, depth: usize) -> Option<Path> {
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let export = rest.first().and_then(|name| modules[module].exports.get(name));
    match export {
        Some(export) if depth < 8 => {
            let path: Path = export.iter().chain(&rest[1..]).cloned().collect();
            defined(&path, modules, depth + 1)
        }
        _ => Some(module.to_vec()),
    }
}

/// The circles: for each file in one, a shortest way back to it.
fn circles(files: &[(String, String)]) -> BTreeSet<String> {
    let module = |file: &str| -> Path {
        let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').map(str::to_owned).collect()
    };
    let names: BTreeSet<Path> = files.iter().map(|(file, _)| module(file)).collect();
    let known = |path: &[String]| names.contains(path);
    let modules: BTreeMap<Path, Used> =
        files.iter().map(|(file, text)| (module(file), used(&module(file), text, &known))).collect();
    let arrows: BTreeMap<&Path, BTreeSet<Path>> = modules
        .iter()
        .map(|(module, used)| {
            let ends = used.paths.iter().filter_map(|path| defined(path, &modules, 0));
            (module, ends.filter(|end| end != module).collect())
        })
        .collect();
    let mut circles = BTreeSet::new();
    for start in modules.keys() {
        let mut ways: Vec<Vec<&Path>> = vec![vec![start]];
        let mut seen: BTreeSet<&Path> = BTreeSet::new();
        while let Some(way) = ways.first().cloned() {
            ways.remove(0);
            for next in &arrows[way[way.len() - 1]] {
                if next == start {
                    let names: Vec<String> = way.iter().chain([&next]).map(|module| module.join("::")).collect();
                    circles.insert(names.join(" -> "));
                    ways.clear();
                    break;
                }
                if seen.insert(next) {
                    ways.push(way.iter().copied().chain([next]).collect());
                }
            }
        }
    }
    circles
}

#[test]
fn no_file_uses_one_that_uses_it() {
    for folder in ["src", "crates/core/src", "cli/src", "crates/release/src"] {
        let files = files(folder);
        assert!(files.len() > 10, "{folder}: {}", files.len());
        let circles = circles(&files);
        assert!(circles.is_empty(), "{folder}:\n{}", circles.into_iter().collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn a_circle_is_found_in_every_form() {
    let planted = |files: &[(&str, &str)]| {
        circles(&files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect::<Vec<_>>())
    };
    for (one, two) in [
        ("use crate::b::B;", "use crate::a::A;"),
        ("use super::b::B;", "fn f() -> crate::a::A { todo!() }"),
        ("use crate::{b, c::C as D};", "impl X { fn f() { let a = crate::a::f::<u8>(\"\\\"\"); } }"),
        ("use crate::{\n    c::{self, E},\n    b::{inner::F, G},\n};", "use crate::a::{self, A};"),
        // through a re-export, and through the module that re-exports
        ("use crate::c::Moved;", "use crate::a::A;"),
        ("use crate::c;\nfn f(moved: c::Moved) {}", "use crate::a::A;"),
    ] {
        let files = [("a.rs", one), ("b.rs", two), ("c/mod.rs", "pub use crate::b::Moved;")];
        let circles = planted(&files);
        assert_eq!(circles.len(), 2, "{one} {two}: {circles:?}");
    }
    let child = planted(&[("p/mod.rs", "mod c;\nuse c::C;"), ("p/c.rs", "use super::P;")]);
    assert_eq!(child.into_iter().collect::<Vec<_>>(), ["p -> p::c -> p", "p::c -> p -> p::c"]);
    for (one, two) in [
        ("use crate::b::B;", "/// See [`crate::a::A`].\nfn f() {} // crate::a::A"),
        ("use crate::b::B;", "pub(in crate::a) fn f() {}"),
        ("use crate::b::B;", "const TEXT: &str = \"crate::a::A\";"),
        ("use crate::b::B;", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}"),
        ("use crate::b::B;", "use other::a::A;"),
    ] {
        assert_eq!(planted(&[("a.rs", one), ("b.rs", two)]), BTreeSet::new(), "{two}");
    }
}
