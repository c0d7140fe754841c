#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""ETRN (RFC 1985): a server that is back says so, and is tried at once."""

from spoold_test import SpooldTest, main, wait_for


class EtrnTest(SpooldTest):
    def down(self, etrn="60", **targets):
        """A target that will not be probed by itself in this test."""
        daemon = self.daemon(
            targets={"office": {"probe-min": "1h", "probe-max": "2h"},
                     **targets},
            domains={"example.com": {}, "sub.example.com": {},
                     "other.test": {"target": list(targets)[-1]
                                    if targets else "office"}},
            limit={"etrn": etrn})
        self.one = daemon.send()
        daemon.wait_target("down")
        return daemon

    def etrn(self, daemon, node, code=250, text=""):
        with daemon.client() as client:
            client.ehlo()
            reply = client.expect(code, "ETRN " + node)
            self.assertIn(text, reply.text)
            client.quit()

    def wait_delivered(self, daemon):
        wait_for(lambda: daemon.recipients(self.one)["bob@example.com"]
                 ["state"] == "delivered", "the delivery")

    def test_a_domain(self):
        daemon = self.down()
        daemon.sink.start()
        self.assertEqual(daemon.target()["state"], "down")
        self.etrn(daemon, "Example.COM", 250,
                  "OK, queuing for node Example.COM started")
        self.wait_delivered(daemon)
        self.assertIn("etrn client=127.0.0.1 node=Example.COM targets=1",
                      daemon.log())

    def test_all_below_a_domain(self):
        daemon = self.down()
        daemon.sink.start()
        self.etrn(daemon, "@com", 250)
        self.wait_delivered(daemon)

    def test_the_name_of_a_target(self):
        daemon = self.down()
        daemon.sink.start()
        self.etrn(daemon, "#office", 250)
        self.wait_delivered(daemon)

    def test_not_more_often_than_probes(self):
        """It is no way to knock at the target through us."""
        daemon = self.down()
        attempts = daemon.log().count(" attempt target=office")
        self.etrn(daemon, "example.com")
        wait_for(lambda: daemon.log().count(" attempt target=office") ==
                 attempts + 1, "the probe")
        for _ in range(5):
            self.etrn(daemon, "example.com")
        # What the operator asks for comes behind it and is obeyed.
        daemon.sink.start()
        self.assertEqual(daemon.ctl("target", "retry", "office").code, 0)
        self.wait_delivered(daemon)
        self.assertEqual(daemon.log().count(" attempt target=office"),
                         attempts + 1)

    def test_other_targets_are_left_alone(self):
        daemon = self.down(spare={"probe-min": "1h", "probe-max": "2h"})
        daemon.sink.start()
        self.etrn(daemon, "other.test")
        self.etrn(daemon, "#spare")
        self.assertEqual(daemon.target()["state"], "down")
        self.etrn(daemon, "example.com")
        self.wait_delivered(daemon)

    def test_refusals(self):
        daemon = self.down(etrn="2")
        with daemon.client() as client:
            client.expect(503, "ETRN example.com")
            self.assertEqual(client.ehlo(), 250)
            self.assertIn("ETRN", client.extensions)
            for node, code in (("", 501), ("a b", 501), ("<x>", 501),
                               ("@", 501), ("#", 501),
                               ("elsewhere.test", 459), ("@test2", 459),
                               ("#nowhere", 459), ("@xample.com", 459)):
                reply = client.expect(code, "ETRN " + node)
                self.assertEqual(reply.enhanced[0], str(code)[0])
            client.expect(250, "MAIL FROM:<anna@client.test>")
            client.expect(503, "ETRN example.com")
            client.expect(250, "RSET")
            client.expect(250, "ETRN example.com")
            client.expect(250, "ETRN @example.com")
            reply = client.expect(458, "ETRN example.com")
            self.assertIn("Unable to queue messages for node example.com",
                          reply.text)
            client.quit()

    def test_not_offered(self):
        daemon = self.down(etrn="0")
        with daemon.client() as client:
            client.ehlo()
            self.assertNotIn("ETRN", client.extensions)
            client.expect(502, "ETRN example.com")
            client.quit()


if __name__ == "__main__":
    main()
