//! The known name that a misspelt one was probably meant to be.

/// The candidate nearest to `word`, if any is near enough that naming it helps: about one wrong letter in three.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["main", "name", "compatibility_date", "compatibility_flags"];
        assert_eq!(nearest("compatiblity_date", known), Some("compatibility_date"));
        assert_eq!(nearest("compatibility-date", known), Some("compatibility_date"));
        assert_eq!(nearest("Main", known), Some("main"));
        assert_eq!(nearest("mian", known), Some("main"));
        assert_eq!(nearest("entrypoint", known), None);
    }
}
