//! Claims against a naive reference.

use proptest::prelude::*;

use super::*;

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn item(size: u64, used: u64) -> Item {
    Item { size, used }
}

fn claim(rank: Rank, used: u64, objects: &[u8]) -> Claim {
    Claim {
        rank,
        used,
        digests: objects.iter().copied().map(digest).collect(),
    }
}

const NOW: u64 = 1000;

fn limits(age: u64, quota: impl Into<Option<u64>>) -> Limits {
    Limits {
        age: Duration::from_secs(age),
        quota: quota.into(),
    }
}

#[test]
fn checkpoints_go_before_the_rest_and_the_longest_unused_first() {
    let items: BTreeMap<_, _> = (0..6).map(|n| (digest(n), item(10, 990))).collect();
    let claims = [
        claim(Rank::Needed, 0, &[0, 1]),
        claim(Rank::Checkpoint, 980, &[0, 1, 2]),
        claim(Rank::Checkpoint, 970, &[0, 3]),
        claim(Rank::Other, 910, &[0, 4]),
    ];
    let gone = |quota: u64| -> Vec<u8> {
        let choice = choose(&items, &claims, NOW, limits(100, quota));
        assert!(choice.kept <= quota.max(20));
        (0..6)
            .filter(|n| choice.objects.contains_key(&digest(*n)))
            .collect()
    };
    assert_eq!(gone(60), Vec::<u8>::new());
    assert_eq!(gone(59), [3]);
    assert_eq!(gone(40), [2, 3]);
    assert_eq!(gone(39), [2, 3, 4]);
    assert_eq!(gone(20), [2, 3, 4, 5]);
    assert_eq!(gone(0), [2, 3, 4, 5], "what is needed stays");
}

#[test]
fn age_takes_what_nobody_used_and_says_for_how_long() {
    let items: BTreeMap<_, _> = (0..4)
        .map(|n| (digest(n), item(1, 200 * u64::from(n))))
        .collect();
    let claims = [
        claim(Rank::Needed, 0, &[0]),
        claim(Rank::Other, 500, &[1, 0]),
        claim(Rank::Other, 900, &[2]),
    ];
    let choice = choose(&items, &claims, NOW, limits(401, None));
    assert_eq!(
        choice.objects,
        BTreeMap::from([(digest(1), Why::Age(Duration::from_secs(800)))])
    );
    assert_eq!(
        choice.claims,
        BTreeMap::from([(1, Why::Age(Duration::from_secs(500)))])
    );
    // a time in the future is no age
    let future = BTreeMap::from([(digest(9), item(1, NOW + 50))]);
    assert!(
        choose(&future, &[], NOW, limits(1, None))
            .objects
            .is_empty()
    );
}

/// What is kept, found again and again from nothing.
fn reference(
    items: &BTreeMap<Digest, Item>,
    claims: &[Claim],
    limits: Limits,
) -> (BTreeSet<Digest>, BTreeSet<usize>) {
    let old = |used: u64| NOW.saturating_sub(used) >= limits.age.as_secs();
    let mut all: Vec<(Rank, u64, Option<usize>, Vec<Digest>)> = claims
        .iter()
        .enumerate()
        .filter(|(_, claim)| claim.rank == Rank::Needed || !old(claim.used))
        .map(|(n, claim)| (claim.rank, claim.used, Some(n), claim.digests.clone()))
        .collect();
    for (digest, item) in items {
        if !old(item.used) && !all.iter().any(|(.., digests)| digests.contains(digest)) {
            all.push((Rank::Other, item.used, None, vec![*digest]));
        }
    }
    let union = |all: &[(Rank, u64, Option<usize>, Vec<Digest>)]| -> BTreeSet<Digest> {
        let digests = all.iter().flat_map(|(.., digests)| digests).copied();
        digests
            .filter(|digest| items.contains_key(digest))
            .collect()
    };
    let bytes = |kept: &BTreeSet<Digest>| -> u64 { kept.iter().map(|d| items[d].size).sum() };
    while limits
        .quota
        .is_some_and(|quota| bytes(&union(&all)) > quota)
    {
        let next = all
            .iter()
            .filter(|(rank, ..)| *rank != Rank::Needed)
            .min()
            .cloned();
        let Some(next) = next else { break };
        all.retain(|claim| *claim != next);
    }
    let numbers = all.iter().filter_map(|(_, _, number, _)| *number);
    (union(&all), numbers.collect())
}

/// Objects 0 to 11 are three chains of four layers; a claim has one of them up to some layer, and perhaps a file.
fn graph() -> impl Strategy<Value = (BTreeMap<Digest, Item>, Vec<Claim>, Limits)> {
    let items = proptest::collection::btree_map(0u8..16, (0u64..50, 0u64..=NOW), 0..16);
    let rank = prop_oneof![
        Just(Rank::Needed),
        Just(Rank::Other),
        Just(Rank::Checkpoint)
    ];
    let claim = (
        rank,
        0u64..=NOW,
        0u8..3,
        1u8..=4,
        proptest::option::of(12u8..16),
    );
    let claims = proptest::collection::vec(claim, 0..10);
    let limits = (0u64..=NOW, proptest::option::of(0u64..400));
    (items, claims, limits).prop_map(|(items, claims, (age, quota))| {
        let items = items
            .into_iter()
            .map(|(n, (size, used))| (digest(n), item(size, used)));
        let claims = claims.into_iter().map(|(rank, used, chain, layers, file)| {
            let objects: Vec<u8> = (0..layers).map(|l| chain * 4 + l).chain(file).collect();
            self::claim(rank, used, &objects)
        });
        (items.collect(), claims.collect(), self::limits(age, quota))
    })
}

proptest! {
    #[test]
    fn what_is_kept_is_what_a_naive_reference_keeps((items, claims, limits) in graph()) {
        let choice = choose(&items, &claims, NOW, limits);
        let (kept, numbers) = reference(&items, &claims, limits);
        let chosen: BTreeSet<Digest> =
            items.keys().filter(|d| !choice.objects.contains_key(d)).copied().collect();
        prop_assert_eq!(&chosen, &kept);
        let given_up: BTreeSet<usize> = choice.claims.keys().copied().collect();
        let all: BTreeSet<usize> = (0..claims.len()).collect();
        prop_assert_eq!(given_up, &all - &numbers);
        let bytes: u64 = kept.iter().map(|digest| items[digest].size).sum();
        prop_assert_eq!(choice.kept, bytes);
        // whatever the rules: chains that are kept are whole, and what is needed is kept
        for (number, claim) in claims.iter().enumerate() {
            if claim.rank == Rank::Needed || !choice.claims.contains_key(&number) {
                prop_assert!(claim.digests.iter().all(|d| !choice.objects.contains_key(d)));
            }
        }
    }
}
