use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::image::ova::tests::{Made, make};
use crate::image::ova::{Options, Package, Severity, pack};
use crate::sys::Cancel;

fn openssl(dir: &Path, line: &str) -> String {
    let output = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {line}: {errors}");
    text
}

/// A directory with a key and certificates: `own.pem` is signed with its own key, `leaf.pem` by `middle.pem`, that by
/// `root.pem`, which is not in `chain.pem`.
fn keys() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for name in ["root", "middle", "leaf"] {
        openssl(
            at,
            &format!("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {name}.key"),
        );
    }
    fs::write(at.join("ca.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
    fs::write(at.join("leaf.ext"), "basicConstraints=CA:FALSE\n").unwrap();
    openssl(
        at,
        "req -x509 -key leaf.key -subj /CN=Own -days 3650 -out own.pem",
    );
    openssl(
        at,
        "req -x509 -key root.key -subj /CN=Root -days 3650 -out root.pem",
    );
    for (name, by, ext) in [("middle", "root", "ca"), ("leaf", "middle", "leaf")] {
        openssl(
            at,
            &format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"),
        );
        openssl(
            at,
            &format!(
                "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -days 365 -set_serial 7 -extfile {ext}.ext -out {name}.pem"
            ),
        );
    }
    let both = [
        fs::read(at.join("leaf.pem")).unwrap(),
        fs::read(at.join("middle.pem")).unwrap(),
    ];
    fs::write(at.join("chain.pem"), both.concat()).unwrap();
    dir
}

fn signer(dir: &Path, key: &str, certificate: &str) -> Result<Signer, SignError> {
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    Signer::from_pem(&read(key), &read(certificate))
}

fn signed(made: &Made, signer: &Signer, algorithm: Algorithm) -> Package {
    let path = made.dir.path().join("signed.ova");
    let mut input = made.input("app");
    input.signer = Some(signer);
    input.algorithm = algorithm;
    pack(
        &input,
        &fs::File::create(&path).unwrap(),
        &|_| {},
        &Cancel::new(),
    )
    .unwrap();
    Package::open(&path).unwrap()
}

/// Codes of errors and warnings, and whether it is trusted.
fn verdict(package: &Package, options: &Options) -> (Vec<String>, Option<bool>) {
    let report = package.verify(options, &|_| {}, &Cancel::new()).unwrap();
    let codes = report
        .findings
        .iter()
        .filter(|f| f.code.contains("cert") || f.code == "signature");
    let mark = |s| if s == Severity::Error { "!" } else { "" };
    let codes = codes
        .map(|f| format!("{}{}", mark(f.severity), f.code))
        .collect();
    (codes, report.signature.and_then(|s| s.trusted))
}

#[test]
fn openssl_and_forge_agree_on_signatures() {
    let (keys, made) = (keys(), make());
    let at = keys.path();
    for (algorithm, name) in [(Algorithm::Sha256, "sha256"), (Algorithm::Sha512, "sha512")] {
        let signer = signer(at, "leaf.key", "chain.pem").unwrap();
        let package = signed(&made, &signer, algorithm);
        let names: Vec<&str> = package.members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["app.ovf", "app.mf", "app.cert", "app-disk1.vmdk"]);
        let text = |name: &str| {
            package
                .member(name)
                .unwrap()
                .data
                .read_all(1 << 20)
                .unwrap()
        };
        let file = SignatureFile::parse(&String::from_utf8(text("app.cert")).unwrap()).unwrap();
        assert_eq!((file.algorithm, file.chain.len()), (algorithm, 2));
        fs::write(at.join("app.mf"), text("app.mf")).unwrap();
        fs::write(at.join("app.cert"), text("app.cert")).unwrap();
        fs::write(at.join("signature"), &file.signature).unwrap();
        openssl(at, "x509 -in app.cert -noout -pubkey -out public.pem");
        let said = openssl(
            at,
            &format!("dgst -{name} -verify public.pem -signature signature app.mf"),
        );
        assert_eq!(said, "Verified OK\n");
        // the other way round
        openssl(
            at,
            &format!("dgst -{name} -sign leaf.key -out theirs app.mf"),
        );
        assert_eq!(fs::read(at.join("theirs")).unwrap(), file.signature);
    }
}

fn trust(at: &Path, files: &[&str]) -> Options {
    let mut options = Options::now();
    let pem: Vec<u8> = files
        .iter()
        .flat_map(|f| fs::read(at.join(f)).unwrap())
        .collect();
    options.trust(&pem).unwrap();
    options
}

#[test]
fn a_signature_is_held_to_its_authorities() {
    let (keys, made) = (keys(), make());
    let at = keys.path();
    let trusting = |files: &[&str]| trust(at, files);
    let own = signed(
        &made,
        &signer(at, "leaf.key", "own.pem").unwrap(),
        Algorithm::Sha256,
    );
    assert_eq!(
        verdict(&own, &Options::now()),
        (vec!["cert-self-signed".into()], None)
    );
    assert_eq!(verdict(&own, &trusting(&["own.pem"])), (vec![], Some(true)));
    assert_eq!(
        verdict(&own, &trusting(&["root.pem"])),
        (vec!["!cert-untrusted".into()], Some(false))
    );
    let chained = signed(
        &made,
        &signer(at, "leaf.key", "chain.pem").unwrap(),
        Algorithm::Sha256,
    );
    assert_eq!(verdict(&chained, &Options::now()), (vec![], None));
    assert_eq!(
        verdict(&chained, &trusting(&["root.pem"])),
        (vec![], Some(true))
    );
    let short = signed(
        &made,
        &signer(at, "leaf.key", "leaf.pem").unwrap(),
        Algorithm::Sha256,
    );
    assert_eq!(
        verdict(&short, &trusting(&["root.pem"])),
        (vec!["!cert-untrusted".into()], Some(false))
    );
    assert_eq!(
        verdict(&short, &trusting(&["root.pem", "middle.pem"])),
        (vec![], Some(true))
    );
}

#[test]
fn a_signature_is_held_to_its_dates() {
    let (keys, made) = (keys(), make());
    let at = keys.path();
    let trusting = |files: &[&str]| trust(at, files);
    let chained = signed(
        &made,
        &signer(at, "leaf.key", "chain.pem").unwrap(),
        Algorithm::Sha256,
    );
    // ten years on, and before it was made
    let later = Options {
        now: Options::now().now + 11 * 365 * 86400,
        ..trusting(&["root.pem"])
    };
    assert_eq!(
        verdict(&chained, &later),
        (
            vec!["cert-dates".into(), "!cert-untrusted".into()],
            Some(false)
        )
    );
    let earlier = Options {
        now: 0,
        ..Options::default()
    };
    assert_eq!(
        verdict(&chained, &earlier),
        (vec!["cert-dates".into()], None)
    );
    let unsigned = Package::open(&made.pack("app").unwrap().0).unwrap();
    assert_eq!(
        verdict(&unsigned, &trusting(&["root.pem"])).0,
        ["!cert-missing"]
    );
}

#[test]
fn what_no_signature_is_told() {
    let good = "SHA256(a.mf)= 00ff\n";
    let fault = |text: &str| SignatureFile::parse(text).unwrap_err();
    assert_eq!(fault(""), "expected a line `SHA256(NAME.mf)= SIGNATURE`");
    assert_eq!(
        fault("CRC(a.mf)= 00\n"),
        "the algorithm of the signature is not known"
    );
    assert_eq!(
        fault("SHA256(a.mf)= 0x\n"),
        "the signature is not hexadecimal"
    );
    assert_eq!(fault(good), "there is no certificate in it");
    let broken = format!("{good}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    assert!(fault(&broken).starts_with("a certificate cannot be read"));
}

/// Keys of all kinds beside those of [`keys`].
fn more_keys(at: &Path) {
    openssl(at, "rsa -in leaf.key -traditional -out pkcs1.key");
    openssl(
        at,
        "pkcs8 -topk8 -in leaf.key -passout pass:x -out locked.key",
    );
    openssl(
        at,
        "rsa -in leaf.key -traditional -aes128 -passout pass:x -out old.key",
    );
    openssl(at, "ecparam -name prime256v1 -genkey -noout -out ec.key");
    openssl(
        at,
        "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out small.key",
    );
}

#[test]
fn keys_that_cannot_sign_are_told() {
    let keys = keys();
    let at = keys.path();
    more_keys(at);
    assert!(signer(at, "pkcs1.key", "own.pem").is_ok());
    for (key, certificate, why) in [
        (
            "locked.key",
            "own.pem",
            "the key is encrypted; forge asks for no passphrase",
        ),
        (
            "old.key",
            "own.pem",
            "the key is encrypted; forge asks for no passphrase",
        ),
        (
            "ec.key",
            "own.pem",
            "the key is no RSA key; packages are signed with RSA",
        ),
        (
            "small.key",
            "own.pem",
            "the key is too small; RSA keys have 2048 to 4096 bits",
        ),
        (
            "own.pem",
            "own.pem",
            "there is no private key in it (`-----BEGIN PRIVATE KEY-----`)",
        ),
        (
            "root.key",
            "own.pem",
            "the certificate is not that of the key",
        ),
        (
            "leaf.key",
            "leaf.key",
            "there is no certificate in it (`-----BEGIN CERTIFICATE-----`)",
        ),
    ] {
        assert_eq!(
            signer(at, key, certificate).unwrap_err().to_string(),
            why,
            "{key}"
        );
    }
    let text = format!("{:?}", signer(at, "leaf.key", "own.pem").unwrap());
    assert_eq!(text, "Signer { .. }");
}
