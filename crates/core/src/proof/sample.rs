//! Chooses the repositories that get a manifest `HEAD`. Pure, so that a repetition asks for the same ones.

use crate::hub::Repository;

/// Maximum number of repositories in a sample.
pub const SIZE: usize = 5;

/// Up to [`SIZE`] repositories: private ones first, spread over the list. Plugins hold no image manifest and are left out.
pub fn choose<'a>(repositories: &[&'a Repository]) -> Vec<&'a Repository> {
    let of = |private: bool| -> Vec<&'a Repository> {
        repositories.iter().copied().filter(|repository| repository.private == private && !repository.plugin).collect()
    };
    let mut sample = spread(&of(true), SIZE);
    let rest = SIZE - sample.len();
    sample.extend(spread(&of(false), rest));
    sample
}

fn spread<'a>(list: &[&'a Repository], size: usize) -> Vec<&'a Repository> {
    let size = size.min(list.len());
    (0..size).map(|at| list[at * list.len() / size]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str, private: bool) -> Repository {
        Repository { name: name.into(), private, plugin: false }
    }

    #[test]
    fn private_ones_come_first_and_no_name_comes_twice() {
        let mut list: Vec<_> = (0..40).map(|n| repository(&format!("r{n:02}"), n % 20 == 0)).collect();
        list.push(Repository { plugin: true, ..repository("plugin", true) });
        let list: Vec<_> = list.iter().collect();
        let names: Vec<_> = choose(&list).iter().map(|repository| repository.name.as_str()).collect();
        assert_eq!(names, ["r00", "r20", "r01", "r13", "r27"]);
        assert!(choose(&[]).is_empty());
        let private: Vec<_> = (0..7).map(|n| repository(&format!("p{n}"), true)).collect();
        let list: Vec<_> = private.iter().chain(list).collect();
        let names: Vec<_> = choose(&list).iter().map(|repository| repository.name.as_str()).collect();
        assert_eq!(names, ["p0", "p1", "p3", "p5", "r00"]);
    }
}
