const { subtle } = crypto;
const usages = { aes: ["encrypt", "decrypt"] };

test("digests", async () => {
  equal(toHex(await subtle.digest("SHA-1", utf8("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d");
  equal(toHex(await subtle.digest("sha-256", utf8("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  equal(toHex(await subtle.digest({ name: "SHA-384" }, utf8("abc"))), "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
  equal(toHex(await subtle.digest("SHA-512", utf8("abc"))).slice(0, 32), "ddaf35a193617abacc417349ae204131");
  equal(toHex(await subtle.digest("MD5", utf8("abc"))), "900150983cd24fb0d6963f7d28e17f72");
  await fails("NotSupportedError", () => subtle.digest("SHA-3", utf8("")));
  await fails("TypeError", () => subtle.digest("SHA-1", "text"));
});
test("the data is taken when the method is called", async () => {
  const data = utf8("abc");
  const digest = subtle.digest("SHA-256", data);
  data.fill(0);
  equal(toHex(await digest).slice(0, 8), "ba7816bf");
});
test("a large digest is computed elsewhere, and is the same", async () => {
  equal(toHex(await subtle.digest("SHA-256", new Uint8Array(1 << 20))), "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58");
});
test("HMAC: RFC 4231, case 2", async () => {
  const key = await subtle.importKey("raw", utf8("Jefe"), { name: "HMAC", hash: "SHA-256" }, true, ["sign", "verify"]);
  const data = utf8("what do ya want for nothing?");
  const tag = await subtle.sign("HMAC", key, data);
  equal(toHex(tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  equal(await subtle.verify("HMAC", key, tag, data), true);
  equal(await subtle.verify("HMAC", key, tag.slice(1), data), false);
  equal(key.algorithm, { name: "HMAC", hash: { name: "SHA-256" }, length: 32 });
  equal(await subtle.exportKey("jwk", key), { key_ops: ["sign", "verify"], ext: true, kty: "oct", k: "SmVmZQ", alg: "HS256" });
});
test("AES-GCM: NIST, case 4", async () => {
  const key = await subtle.importKey("raw", hex("feffe9928665731c6d6a8f9467308308"), "AES-GCM", false, usages.aes);
  const params = { name: "AES-GCM", iv: hex("cafebabefacedbaddecaf888"), additionalData: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2") };
  const plain = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  const sealed = await subtle.encrypt(params, key, plain);
  equal(toHex(sealed).slice(-32), "5bc94fbc3221a5db94fae95ae7121a47");
  equal(toHex(await subtle.decrypt(params, key, sealed)), toHex(plain));
  const damaged = new Uint8Array(sealed);
  damaged[3] ^= 1;
  await fails("OperationError", () => subtle.decrypt(params, key, damaged));
  await fails("OperationError", () => subtle.encrypt({ ...params, tagLength: 33 }, key, plain));
  await fails("InvalidAccessError", () => subtle.exportKey("raw", key));
});
test("AES-CBC and AES-CTR, there and back", async () => {
  for (const params of [
    { name: "AES-CBC", iv: new Uint8Array(16) },
    { name: "AES-CTR", counter: new Uint8Array(16), length: 64 },
  ]) {
    for (const length of [128, 192, 256]) {
      const key = await subtle.generateKey({ name: params.name, length }, true, usages.aes);
      const sealed = await subtle.encrypt(params, key, utf8("some text that is longer than a block"));
      equal(text(await subtle.decrypt(params, key, sealed)), "some text that is longer than a block");
    }
  }
});
test("HKDF: RFC 5869, case 1", async () => {
  const key = await subtle.importKey("raw", hex("0b".repeat(22)), "HKDF", false, ["deriveBits", "deriveKey"]);
  const params = { name: "HKDF", hash: "SHA-256", salt: hex("000102030405060708090a0b0c"), info: hex("f0f1f2f3f4f5f6f7f8f9") };
  equal(toHex(await subtle.deriveBits(params, key, 336)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  const derived = await subtle.deriveKey(params, key, { name: "AES-GCM", length: 256 }, true, ["encrypt"]);
  equal(toHex(await subtle.exportKey("raw", derived)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
  await fails("OperationError", () => subtle.deriveBits(params, key, 333));
  await fails("SyntaxError", () => subtle.importKey("raw", hex("00"), "HKDF", true, ["deriveBits"]));
});
test("PBKDF2: RFC 6070, case 2", async () => {
  const key = await subtle.importKey("raw", utf8("password"), "PBKDF2", false, ["deriveBits"]);
  const params = { name: "PBKDF2", hash: "SHA-1", salt: utf8("salt"), iterations: 2 };
  equal(toHex(await subtle.deriveBits(params, key, 160)), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
});
test("ECDSA on every curve, with every hash", async () => {
  for (const namedCurve of ["P-256", "P-384", "P-521"]) {
    const pair = await subtle.generateKey({ name: "ECDSA", namedCurve }, true, ["sign", "verify"]);
    equal([pair.privateKey.usages, pair.publicKey.usages], [["sign"], ["verify"]]);
    for (const hash of ["SHA-1", "SHA-256", "SHA-384", "SHA-512"]) {
      const params = { name: "ECDSA", hash };
      const signature = await subtle.sign(params, pair.privateKey, utf8("data"));
      equal(signature.byteLength, { "P-256": 64, "P-384": 96, "P-521": 132 }[namedCurve]);
      equal(await subtle.verify(params, pair.publicKey, signature, utf8("data")), true, `${namedCurve} ${hash}`);
      equal(await subtle.verify(params, pair.publicKey, signature, utf8("date")), false);
    }
    for (const [format, key] of [["jwk", "privateKey"], ["pkcs8", "privateKey"], ["jwk", "publicKey"], ["spki", "publicKey"], ["raw", "publicKey"]]) {
      const exported = await subtle.exportKey(format, pair[key]);
      const again = await subtle.importKey(format, exported, { name: "ECDSA", namedCurve }, true, pair[key].usages);
      equal(await subtle.exportKey(format, again), exported, `${namedCurve} ${format} ${key}`);
    }
  }
});
test("ECDH and X25519 agree from both sides", async () => {
  for (const algorithm of [{ name: "ECDH", namedCurve: "P-256" }, { name: "ECDH", namedCurve: "P-521" }, { name: "X25519" }]) {
    const [a, b] = await Promise.all([1, 2].map(() => subtle.generateKey(algorithm, true, ["deriveBits", "deriveKey"])));
    const one = await subtle.deriveBits({ name: algorithm.name, public: b.publicKey }, a.privateKey, 256);
    const other = await subtle.deriveBits({ name: algorithm.name, public: a.publicKey }, b.privateKey, 256);
    equal(toHex(one), toHex(other));
    ok(one.byteLength === 32);
    const key = await subtle.deriveKey({ name: algorithm.name, public: b.publicKey }, a.privateKey, { name: "HMAC", hash: "SHA-256", length: 256 }, true, ["sign"]);
    equal(toHex(await subtle.exportKey("raw", key)), toHex(one));
    await fails("InvalidAccessError", () => subtle.deriveBits({ name: algorithm.name, public: a.privateKey }, b.privateKey, 256));
  }
});
test("X25519: RFC 7748, section 6.1", async () => {
  const url = text => hex(text).toBase64({ alphabet: "base64url", omitPadding: true });
  const jwk = { kty: "OKP", crv: "X25519", d: url("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"), x: url("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a") };
  const alice = await subtle.importKey("jwk", jwk, "X25519", false, ["deriveBits"]);
  const bob = await subtle.importKey("raw", hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"), "X25519", false, []);
  equal(toHex(await subtle.deriveBits({ name: "X25519", public: bob }, alice, null)), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
});
test("Ed25519: RFC 8032, test 2", async () => {
  const prefix = "302e020100300506032b657004220420";
  const secret = await subtle.importKey("pkcs8", hex(`${prefix}4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb`), "Ed25519", true, ["sign"]);
  const signature = await subtle.sign("Ed25519", secret, hex("72"));
  equal(toHex(signature), "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  const open = await subtle.importKey("raw", hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"), "Ed25519", true, ["verify"]);
  equal(await subtle.verify("Ed25519", open, signature, hex("72")), true);
  equal(await subtle.verify("Ed25519", open, signature, hex("73")), false);
  equal((await subtle.exportKey("jwk", secret)).x, (await subtle.exportKey("jwk", open)).x);
  equal(toHex(await subtle.exportKey("pkcs8", secret)).slice(0, 32), prefix);
});
test("RSA: signatures and encryption", async () => {
  const rsa = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };
  const pair = await subtle.generateKey({ name: "RSASSA-PKCS1-v1_5", ...rsa }, true, ["sign", "verify"]);
  equal(pair.publicKey.algorithm, { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: { name: "SHA-256" } });
  const signature = await subtle.sign("RSASSA-PKCS1-v1_5", pair.privateKey, utf8("data"));
  equal([signature.byteLength, await subtle.verify("RSASSA-PKCS1-v1_5", pair.publicKey, signature, utf8("data"))], [256, true]);
  // The same key for the other algorithms: as a JSON Web Key, without what says what it is for.
  const forOther = async (half, name, its) => {
    const { alg, key_ops, ...jwk } = await subtle.exportKey("jwk", pair[half]);
    equal([alg, jwk.kty], ["RS256", "RSA"]);
    return subtle.importKey("jwk", jwk, { name, hash: "SHA-256" }, true, its);
  };
  const pss = { name: "RSA-PSS", saltLength: 32 };
  const salted = await subtle.sign(pss, await forOther("privateKey", "RSA-PSS", ["sign"]), utf8("data"));
  equal(await subtle.verify(pss, await forOther("publicKey", "RSA-PSS", ["verify"]), salted, utf8("data")), true);
  const oaep = { name: "RSA-OAEP", label: utf8("label") };
  const sealed = await subtle.encrypt(oaep, await forOther("publicKey", "RSA-OAEP", ["encrypt"]), utf8("secret"));
  const secret = await forOther("privateKey", "RSA-OAEP", ["decrypt"]);
  equal(text(await subtle.decrypt(oaep, secret, sealed)), "secret");
  await fails("OperationError", () => subtle.decrypt("RSA-OAEP", secret, sealed));
  for (const [format, half, usage] of [["pkcs8", "privateKey", "sign"], ["spki", "publicKey", "verify"]]) {
    const der = await subtle.exportKey(format, pair[half]);
    const again = await subtle.importKey(format, der, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, true, [usage]);
    equal([again.algorithm.modulusLength, toHex(await subtle.exportKey(format, again))], [2048, toHex(der)]);
  }
});
test("wrapping: AES-KW of RFC 3394, and a JSON Web Key in AES-GCM", async () => {
  const wrapping = await subtle.importKey("raw", hex("000102030405060708090a0b0c0d0e0f"), "AES-KW", false, ["wrapKey", "unwrapKey"]);
  const key = await subtle.importKey("raw", hex("00112233445566778899aabbccddeeff"), "AES-CBC", true, ["encrypt"]);
  const wrapped = await subtle.wrapKey("raw", key, wrapping, "AES-KW");
  equal(toHex(wrapped), "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
  const back = await subtle.unwrapKey("raw", wrapped, wrapping, "AES-KW", "AES-CBC", true, ["encrypt"]);
  equal(toHex(await subtle.exportKey("raw", back)), "00112233445566778899aabbccddeeff");
  const gcm = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["wrapKey", "unwrapKey"]);
  const params = { name: "AES-GCM", iv: new Uint8Array(12) };
  const { privateKey } = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
  const sealed = await subtle.wrapKey("jwk", privateKey, gcm, params);
  const opened = await subtle.unwrapKey("jwk", sealed, gcm, params, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
  equal(await subtle.exportKey("jwk", opened), await subtle.exportKey("jwk", privateKey));
});
test("keys are for what they were made for", async () => {
  const key = await subtle.importKey("raw", new Uint8Array(16), "AES-GCM", true, ["encrypt"]);
  await fails("InvalidAccessError", () => subtle.decrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, new Uint8Array(32)));
  await fails("InvalidAccessError", () => subtle.encrypt({ name: "AES-CBC", iv: new Uint8Array(16) }, key, new Uint8Array(1)));
  await fails("SyntaxError", () => subtle.importKey("raw", new Uint8Array(16), "AES-GCM", true, ["sign"]));
  await fails("SyntaxError", () => subtle.importKey("raw", new Uint8Array(16), "AES-GCM", true, []));
  await fails("TypeError", () => subtle.importKey("raw", new Uint8Array(16), "AES-GCM", true, ["fly"]));
  await fails("DataError", () => subtle.importKey("raw", new Uint8Array(15), "AES-GCM", true, ["encrypt"]));
  await fails("DataError", () => subtle.importKey("spki", new Uint8Array(99), { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]));
  await fails("NotSupportedError", () => subtle.importKey("raw", new Uint8Array(65), { name: "ECDSA", namedCurve: "P-1" }, true, ["verify"]));
  await fails("OperationError", () => subtle.generateKey({ name: "AES-GCM", length: 100 }, true, ["encrypt"]));
  await fails("TypeError", async () => new CryptoKey());
});
test("timingSafeEqual and DigestStream", async () => {
  equal([subtle.timingSafeEqual(utf8("same"), utf8("same")), subtle.timingSafeEqual(utf8("same"), utf8("some"))], [true, false]);
  await fails("TypeError", async () => subtle.timingSafeEqual(utf8("a"), utf8("bc")));
  const stream = new crypto.DigestStream("SHA-256");
  const writer = stream.getWriter();
  for (const part of ["a", "b", "c"]) await writer.write(utf8(part));
  await writer.close();
  equal(toHex(await stream.digest).slice(0, 16), "ba7816bf8f01cfea");
  equal(stream.bytesWritten, 3n);
  const aborted = new crypto.DigestStream("MD5");
  await aborted.abort(new RangeError("no"));
  await fails("RangeError", () => aborted.digest);
});
