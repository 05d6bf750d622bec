//! What needs the root's key: the authority itself, its issuers, and the root's list.

use std::{fs, os::unix::fs::symlink, path::Path};

use data_encoding::HEXLOWER;
use rcgen::{Issuer, KeyPair};
use vonggac_daemon::secret::Secret;
use vonggac_wire::Time;

use super::{
    AUTHORITIES, Authority, AuthorityError, Event, LOCK, Lifetimes, Readers, Reason, Register,
    certify, fingerprint,
    folder::{self, failed},
    issuers::{self, CERTIFICATE, ISSUERS, KEY, PRESENT, ROOT, ROOT_KEY},
    lists, sealed_key,
    signer::Certified,
    span,
};

impl Authority {
    /// Makes an authority in a folder that is not there yet, or is empty.
    ///
    /// # Errors
    /// If there is something, the passphrase is too short, or a file cannot be written.
    pub fn init(
        dir: &Path,
        lifetimes: Lifetimes,
        passphrase: &Secret,
        by: &str,
        now: Time,
    ) -> Result<Self, AuthorityError> {
        Self::init_with(dir, lifetimes, passphrase, (by, sealed_key::ROUNDS), now)
    }

    /// The same, with a number of rounds that tests need not wait for.
    pub(in crate::trust) fn init_with(
        dir: &Path,
        lifetimes: Lifetimes,
        passphrase: &Secret,
        (by, rounds): (&str, u32),
        now: Time,
    ) -> Result<Self, AuthorityError> {
        if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
            return Err(AuthorityError::There(dir.to_owned()));
        }
        // Made beside its place, so that what a crash leaves is never taken for an authority.
        let mut fresh = dir.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = Path::new(&fresh);
        if fresh.exists() {
            fs::remove_dir_all(fresh).map_err(failed("replace", fresh))?;
        }
        folder::make(&fresh.join(ISSUERS))?;
        let key = KeyPair::generate()?;
        let sealed = sealed_key::seal(key.serialized_der(), passphrase, rounds)?;
        let span = span(now, lifetimes.root, Time(i64::MAX))?;
        let root = certify::root(&span, &HEXLOWER.encode(&span.serial)).self_signed(&key)?;
        folder::replace(&fresh.join(ROOT_KEY), sealed.as_bytes(), Readers::Owner)?;
        folder::replace(&fresh.join(ROOT), root.pem().as_bytes(), Readers::All)?;
        folder::replace(&fresh.join(AUTHORITIES), root.pem().as_bytes(), Readers::All)?;
        let authority = Self { dir: fresh.to_owned(), lifetimes };
        let signing = issuers::root(fresh)?;
        let signer = signing.with(Box::new(key))?;
        let issuer = authority.make_issuer(&signer, signing.not_after, now)?;
        for (name, target) in [("issuer.pem", CERTIFICATE), ("issuer.key.pem", KEY)] {
            let link = fresh.join(name);
            symlink(Path::new(PRESENT).join(target), &link).map_err(failed("write", &link))?;
        }
        let event = Event::Founded { fingerprint: fingerprint(&signing.der), issuer };
        authority.write_down(by, event, now)?;
        let nobody = Register::default();
        lists::renew_root(fresh, &signer, &nobody, now, lifetimes.root_crl)?;
        lists::renew(fresh, &nobody, now, lifetimes.crl)?;
        fs::rename(fresh, dir).map_err(failed("make", dir))?;
        folder::sync_folder(dir)?;
        Ok(Self { dir: dir.to_owned(), lifetimes })
    }

    /// Makes an issuer and lets it issue; its serial number.
    fn make_issuer(
        &self,
        root: &Issuer<'_, Certified>,
        end: Time,
        now: Time,
    ) -> Result<String, AuthorityError> {
        let key = KeyPair::generate()?;
        let span = span(now, self.lifetimes.issuer, end)?;
        let serial = HEXLOWER.encode(&span.serial);
        let certificate = certify::issuer(&span, &serial).signed_by(&key, root)?;
        let place = self.dir.join(ISSUERS).join(&serial);
        folder::make(&place)?;
        folder::replace(&place.join(KEY), key.serialize_pem().as_bytes(), Readers::Owner)?;
        folder::replace(&place.join(CERTIFICATE), certificate.pem().as_bytes(), Readers::All)?;
        folder::sync_folder(&place)?;
        issuers::make_present(&self.dir, &serial)?;
        Ok(serial)
    }

    /// Makes a new issuer. The former one stays trusted until its end, and its list is kept up; the new one's serial number.
    ///
    /// # Errors
    /// If the passphrase is wrong, or a file cannot be written.
    pub fn rotate(
        &self,
        passphrase: &Secret,
        by: &str,
        now: Time,
    ) -> Result<String, AuthorityError> {
        let (root, signer) = issuers::opened_root(&self.dir, passphrase)?;
        let _held = folder::hold(&self.dir, LOCK)?;
        let before = issuers::Signing::read(&self.dir.join(PRESENT).join(CERTIFICATE))?.serial;
        let issuer = self.make_issuer(&signer, root.not_after, now)?;
        self.write_down(by, Event::Rotated { issuer: issuer.clone(), before }, now)?;
        let register = self.register(now)?;
        lists::renew_root(&self.dir, &signer, &register, now, self.lifetimes.root_crl)?;
        lists::renew(&self.dir, &register, now, self.lifetimes.crl)?;
        Ok(issuer)
    }

    /// Makes the root's revocation list anew, and the issuers'.
    ///
    /// # Errors
    /// If the passphrase is wrong, or a file cannot be written.
    pub fn renew_root_list(&self, passphrase: &Secret, now: Time) -> Result<(), AuthorityError> {
        let (_, signer) = issuers::opened_root(&self.dir, passphrase)?;
        let _held = folder::hold(&self.dir, LOCK)?;
        let register = self.register(now)?;
        lists::renew_root(&self.dir, &signer, &register, now, self.lifetimes.root_crl)?;
        lists::renew(&self.dir, &register, now, self.lifetimes.crl)
    }

    /// Revokes an issuer, and with it all that it issued. The one in use is followed by a new one at once.
    ///
    /// # Errors
    /// If it is no issuer, the passphrase is wrong, or a file cannot be written.
    pub fn revoke_issuer(
        &self,
        serial: &str,
        reason: Reason,
        (passphrase, by): (&Secret, &str),
        now: Time,
    ) -> Result<(), AuthorityError> {
        let unknown = || AuthorityError::Unknown(serial.chars().take(64).collect());
        super::bytes_of(serial).map_err(|_| unknown())?;
        if !self.dir.join(ISSUERS).join(serial).join(CERTIFICATE).exists() {
            return Err(unknown());
        }
        if self.register(now)?.revoked.contains_key(serial) {
            return Err(AuthorityError::Revoked(serial.to_owned()));
        }
        let present = issuers::Signing::read(&self.dir.join(PRESENT).join(CERTIFICATE))?.serial;
        if present == serial {
            self.rotate(passphrase, by, now)?;
        }
        let (_, signer) = issuers::opened_root(&self.dir, passphrase)?;
        let _held = folder::hold(&self.dir, LOCK)?;
        self.write_down(by, Event::Revoked { serial: serial.to_owned(), reason }, now)?;
        let register = self.register(now)?;
        lists::renew_root(&self.dir, &signer, &register, now, self.lifetimes.root_crl)?;
        lists::renew(&self.dir, &register, now, self.lifetimes.crl)
    }
}
