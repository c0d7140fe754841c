# SPDX-License-Identifier: ISC
"""The mail of the IMAP tests: seven messages, and what is known of them.

1 plain; 2 with an alternative and an attachment; 3 with encoded words and
ISO-8859-1 in quoted-printable; 4 with a message inside; 5 an answer to 1;
6 with a base64 body and no Date; 7 of 200 KB, several pieces of the store.
"""


def lines(text):
    return text.strip("\n").replace("\n", "\r\n").encode("utf-8") + b"\r\n"


PLAIN = lines("""
From: Bob Builder <bob@client.test>
To: Anna <anna@example.com>, "Team, the" <team@example.com>
Subject: first
Date: Wed, 01 Jan 2025 10:00:00 +0100
Message-ID: <first@client.test>
X-Colour: blue

hello world
second line
""")

MIXED = lines("""
From: Carla <carla@client.test>
Sender: office@client.test
Reply-To: replies@client.test
To: anna@example.com
Cc: dora@example.com
Subject: report (attached)
Date: Thu, 2 Jan 2025 11:00:00 +0000
Message-ID: <report@client.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8
Content-Language: en, de

plain text
--inner
Content-Type: text/html; charset=utf-8
Content-Location: http://client.test/

<p>html text</p>
--inner--
--outer
Content-Type: application/octet-stream; name="data.bin"
Content-Disposition: attachment; filename="data.bin"
Content-Transfer-Encoding: base64
Content-ID: <data@client.test>
Content-Description: some data
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==

AAECAwQFBgcICQ==
--outer--
epilogue
""")

ENCODED = lines("""
From: =?utf-8?Q?J=C3=BCrgen_Gr=C3=BCn?= <juergen@client.test>
To: anna@example.com
Subject: =?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?=
Date: Fri, 3 Jan 2025 12:00:00 +0000
Message-ID: <encoded@client.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe
""")

NESTED = lines("""
From: Dan <dan@client.test>
To: anna@example.com
Subject: forwarded
Date: Sat, 4 Jan 2025 13:00:00 +0000
Message-ID: <nested@client.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

see below
--b
Content-Type: message/rfc822

From: Eve <eve@other.test>
To: dan@client.test
Subject: the inner one
Date: Sat, 4 Jan 2025 09:00:00 +0000
Message-ID: <inner@other.test>

inner text
--b--
""")

ANSWER = lines("""
From: Anna <anna@client.test>
To: bob@client.test
Cc: anna@example.com
Bcc: hidden@client.test
Subject: Re: first
Date: Sun, 5 Jan 2025 14:00:00 +0000
Message-ID: <answer@client.test>
In-Reply-To: <first@client.test>
References: <first@client.test>

I answer.
""")

BASE64 = lines("""
From: Fay <fay@client.test>
To: anna@example.com
Subject: coded
Message-ID: <coded@client.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

VGhlIGNvZGVkIG5lZWRsZSBpcyBoZXJlLg0K
""")

LARGE = lines("""
From: Gus <gus@client.test>
To: anna@example.com
Subject: large
Date: Tue, 7 Jan 2025 16:00:00 +0000
Message-ID: <large@client.test>
""") + b"\r\n" + b"".join(b"line %06d of the large message\r\n" % i
                          for i in range(6000)) + b"the last words\r\n"

MAIL = (PLAIN, MIXED, ENCODED, NESTED, ANSWER, BASE64, LARGE)
