#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""How dictionary_shipped.bin was made.

    libspool/dictionary_shipped.py >dictionary.bin

It is not made anew by a build: what was compressed with it must be readable
for ever, and another zstd may make other bytes. A better one gets another id.

Everything in it was written for this purpose: how mail programs and servers
spell header fields, the usual parts of HTML mail, and common words of a few
languages. What is worth most stands last (zstd(1)). The frequencies in its
head come from letters made up at random: they have the fields, the words and
the tags of the text, and among them names and numbers it does not have.
"""

import ctypes
import ctypes.util
import random
import string
import sys

ENGLISH = """
the and for that you this with have not are from your was but can they will
all one there their what about which when who would more some been were out
into than them then other could only its also over new these any may after
most people time first two how our because such where through between being
should many those very each just now even made make like use used using work
well way need want know think good right still here back going take come see
get got say said does did don't can't won't isn't it's I'm I've I'll that's
you're you'll you've we're we'll they're there's what's let's didn't doesn't
wasn't couldn't wouldn't shouldn't please thanks thank regards best sincerely
hello dear hi everyone team sir madam message email mail address list click
link free offer today order price money business company internet service
information available account number contact phone online web site website
receive send sent write reply forward subject following below attached file
files version system software program computer windows linux server network
problem question answer help support update change changes date day week
month year years monday tuesday wednesday thursday friday saturday sunday
january february march april june july august september october november
december morning tomorrow yesterday tonight meeting project report document
customer customers payment invoice credit card bank credit product products
security password privacy policy unsubscribe subscribe subscription removed
mailing newsletter confirm confirmation registration register member members
without within during before again against another around away because become
believe better both call called case certain different down every example fact
find found few given government great group hand hard high however important
interest keep kind large last later least left less life little live local long
look looking lot man matter might much must never next night nothing number off
often old open order others own part place point possible power probably
provide public put question quite rather read real really reason result run
same seems several show side simply since small so something state story sure
system tell themselves things thought three together too took toward trying
under understand until up upon us usually via view want water week went while
whole why word words world wrote yes yet
""".split()

MORE = """
ability able above access according across act action add added addition
additional advantage agree agreement air allow allowed almost alone along
already although always amount announced anyone anything apply approach areas
article ask asked assistance author average base based basic became began
begin behind beginning benefit benefits beyond big black block board body book
books box break bring british browser build building built button buy calls
came camera cannot care cases cause central century chance changed charge
cheap check children choice choose city claim class clear client close code
color column comes command comment comments commercial common community
companies compare compatible complete completely computers concerned
conditions configuration connect connection consider contain contains content
contents continue control copy copies correct cost costs could've country
couple course cover create created cross currently cut daily data database
deal decided decision default define delete department described design
desktop details develop developed developer developers development device
devices difference digital direct directly directory discuss discussion
display distribution domain done door double dozen drive driver drop due
earlier early easily easy economic edit education effect effective effort
either electronic else employees enough enter entire environment equipment
especially etc event events everything exactly except exchange executive exist
existing expect expected experience explain extra face failed fall family far
fast faster father feature features feel field figure final finally financial
finding fine fire five fixed focus folder folks follow followed food force
foreign form format former forms four friend friends front full function
functions fund future game games general generally generate gets getting gives
giving global goes gone groups growing growth guess guide half happen happened
happy hardware head health hear heard hold holiday home host hosting hot hour
hours house huge human hundreds idea ideas image images immediately
implementation include included includes including income increase index
individual industry info initial input inside install installation installed
instead insurance interested interesting interface international investment
involved issue issues item items itself job jobs join key known language
languages larger law lead learn leave letter level library license likely
limit limited lines links listed literally loan log login longer loss lost
lots love low lower machine magazine mailbox main maintain major makes making
manage management manager manual market marketing master material maximum mean
means media medical meet memory mention menu method methods microsoft million
mind minimum minute minutes missing mobile mode model modern module moment
monthly mother mouse move moved movie multiple music myself name named names
national natural nearly necessary needed needs news nice nobody none normal
normally north note noted notes notice object obtain obviously offered
offering offers oil ones opening operating operation opinion opportunity
option options original otherwise outside overall owner package packages page
pages paid paper parents particular particularly parts party pass past patch
path pay paying per perfect performance perhaps period permission person
personal physical piece places plan plans play player plus points policies
political popular port position positive post posted potential practice prefer
present president press pretty previous prices primary print printer private
process processing produce production professional profile profit programs
promise proper property protect provided provider provides published purchase
purpose quality quickly quote radio random range rate rates reach readers
reading ready reasonable reasons recent recently recommend record records red
reduce reference regarding regular related release released remember remote
remove replace reported reports requested require required requires research
resources respond response rest results return review rights risk road role
room rule rules running safe sale sales save says scale school science
scientists screen script search section secure seem seen select self selling
sending senior sense series serious session set setting settings setup seven
share short shot shows sign similar simple single sites situation six size
skills slow smaller social society solution solutions someone sometimes soon
sort sound source south space speak special specific specified speed spend
staff standard standards start started starting statement states status stay
step steps stock stop store strategy stream street string strong stuff style
success suggest summary supply supported supports suppose surface table taken
taking talk target task tax technical technologies technology telephone ten
term terms test testing text theory thinking third thousands tools top topic
total touch town track trade traditional traffic training transfer travel tree
trial true trust truth turn type types understanding unique unit united
university unless unlike updated updates upgrade url usage useful user users
uses usual utility valid value values variable various vendor video visit
voice wait walk wall wanted wants war warning watch ways webmaster welcome
west whatever whether white wide wife window wireless wish women wonder worked
working works worst worth writing written wrong yahoo yourself zip
""".split()

PROSE = """
I have been thinking about this for some time, and I think that it would be a
good idea to have a look at it before we make any changes. If there is anything
else that you need from me, please let me know as soon as possible. I am not
sure whether this is the right place to ask, but I have tried to find an answer
and there does not seem to be one. It looks like the problem is that there are
two different versions of the same file, and that one of them has not been
updated since the beginning of the year. Does anyone know how to do this? Is
there a way to make sure that it works for everybody, or is it something that
has to be done by hand? As far as I know, there is nothing in the documentation
about it. I would be very interested to hear what other people think about it.
In my opinion, this is one of the most important things that we have to do, and
it should have been done a long time ago. On the other hand, it does not make
much of a difference to most of the people who are using it at the moment.
That is exactly what I was trying to say. I could not agree more with what you
said about it, but I do not believe that it is possible to do it that way. They
have been working on it for the last couple of years, and it is still not ready.
According to the report, the number of people who have been using the internet
to buy things has more than doubled since last year, and most of them say that
they would do it again. The company said on Monday that it would not be able to
pay for it, and that the government should have known better. There is a lot of
information on their web site, but it is not very easy to find what you are
looking for. You can download the latest version of the software from our web
site at no cost to you. You will need to have the following packages installed
on your system before you can use it. When I try to run the program, I get the
following error message, and then it stops. I am running version 2.4 on a
machine with 256 MB of memory and a 20 GB hard disk. Has anybody else seen this
problem? Any help would be greatly appreciated. Thank you very much for your
time and attention. This is the second time that I have had to do this, and I
would rather not have to do it again. If you want to be able to do that, you
should use something like this instead, and then add the line to the end of the
file. It should be noted that this is only an example, and that your results
may be different. The first thing you should do is to check that the server is
up and running, and that you can connect to it from your own computer. For those
of you who do not know what this is about, here is a short description of what
has happened so far. We would like to take this opportunity to thank you for
your business and to let you know about our new products and services. You have
received this message because you have subscribed to our mailing list or because
you have visited one of our partner web sites. We respect your privacy and will
never sell, rent or share your email address with anyone. If you would like to
be removed from our list, please reply to this message with the word remove in
the subject line, and you will not hear from us again. This offer is only
available for a limited time, so act now and start saving money today. There is
no obligation and no credit card is required. Simply fill out the form below and
one of our representatives will contact you within 24 hours. Make money working
from home, with no experience necessary. You can earn as much as you want every
month, and all you need is a computer and a connection to the internet. Order
now and get a second one absolutely free. We guarantee that you will be happy
with your purchase, or we will give you your money back, no questions asked.
Please be sure to include your name, address and telephone number. This program
really works, and thousands of people all over the world are already using it.
Your account has been created and is ready to use. Your order has been shipped
and should arrive within the next few days. Please click on the link below to
confirm your email address. If you did not ask for this, you can ignore this
message. We have noticed that someone tried to sign in to your account from a
new device. If this was you, there is nothing that you need to do. Your password
will expire in three days. Your invoice for this month is attached. The payment
is due by the end of the month. You are invited to a meeting that will be held
on Thursday in the main conference room. Please find the agenda below and let me
know if there is anything that should be added. The minutes of the last meeting
have been sent to all of the members. I will be out of the office until Monday
and will not be able to read my email. In urgent cases, please contact my
colleague. What do you think about it? How are you doing? I hope that everything
is going well with you and your family. It was great to see you the other day.
See you next week. Have a nice day. Have a great weekend. I am looking forward to
seeing you there. Let me know what you think. Just wanted to let you know that
we have received your message and will get back to you shortly. As you can see
from the above, there are still a few things that need to be done before the
release. Some of these have been fixed in the current version, but others have
not. This has been a problem for as long as I can remember. Of course, that does
not mean that we should not try. At least that is what I have heard from a few
people who have been there. In other words, it is up to you to decide whether or
not you want to use it. There have been several reports of this, but nobody has
been able to find out why it happens. It might be worth a try, though. At this
point, I think we should wait and see what happens next. The rest of the world
does not seem to care very much about it. Sorry for the late reply, I have been
very busy with other things. Thanks again for all of your help with this.
> I don't know if this is what you are looking for, but you could try it.
> I think that you are right about that, but there is more to it than that.
>> That would be the best way to do it, at least for the time being.
> > What is the difference between these two, and which one should I use?
> If you don't mind, I would like to know where you got that from.
"""

PHRASES = """
If you have any questions, please do not hesitate to contact us.
Please let me know if you have any questions.
Thank you for your message.
Thank you very much for your help.
Thanks in advance,
Best regards,
Kind regards,
With kind regards,
Sincerely yours,
Looking forward to hearing from you.
Please find attached the document
as well as the
at the end of the
at the same time
one of the most
in order to be able to
on the other hand,
it is possible to
there is no need to
I don't think that
I would like to
you will be able to
To unsubscribe from this list, send an email to
To be removed from our mailing list, click here
If you no longer wish to receive these emails, please
You are receiving this email because you
This message was sent to
This email and any attachments are confidential and intended solely for the use of the individual to whom it is addressed.
If you are not the intended recipient, please notify the sender and delete this message.
This is an automatically generated message, please do not reply.
View this email in your browser
All rights reserved. Copyright (c)
Terms and conditions | Privacy policy | Unsubscribe
Click here to
for more information, visit our web site at http://www.
Do you want to
you can find more information at https://www.
Sent from my iPhone
Sent from my phone
-----Original Message-----
-------- Forwarded Message --------
---------- Forwarded message ----------
Begin forwarded message:
On Mon, Jan 1, 2024 at 10:00 AM
 wrote:
> On Tue, 
>> >>> > > > >> 
Mit freundlichen Gr=C3=BC=C3=9Fen
Mit freundlichen Grüßen
Sehr geehrte Damen und Herren,
vielen Dank für Ihre Nachricht.
Viele Grüße
Guten Tag,
bitte beachten Sie, dass
Wir freuen uns auf Ihre Antwort.
Diese E-Mail wurde automatisch erstellt. Bitte antworten Sie nicht auf diese Nachricht.
Am Montag, den 1. Januar 2024 um 10:00 Uhr schrieb
und der die das ist nicht mit auf für von dem den des ein eine einer eines sich auch werden wird haben hat sind war
Bonjour, Cordialement, Bien cordialement, Merci beaucoup
Nous vous remercions de votre message.
Veuillez trouver ci-joint
pour vous désabonner, cliquez ici
les des une est dans pour que qui sur pas avec vous nous votre notre cette plus sont
Hola, Estimado señor, Saludos cordiales, Muchas gracias
los las una que del para con por más esta este como pero sus sobre también todo
Buongiorno, Cordiali saluti, Grazie mille
Met vriendelijke groet,
""".strip("\n").split("\n")

HTML = """
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.0 Transitional//EN">
<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office">
<!DOCTYPE html>
<html lang="en">
<head>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
<META http-equiv=Content-Type content="text/html; charset=iso-8859-1">
<META http-equiv=3DContent-Type content=3D"text/html; charset=3Diso-8859-1">
<meta name="viewport" content="width=device-width, initial-scale=1.0" />
<meta name="x-apple-disable-message-reformatting" />
<META content="MSHTML 6.00.2600.0" name=GENERATOR>
<title></title>
<style type="text/css">
@media only screen and (max-width: 600px) {
  .container { width: 100% !important; }
}
body { margin: 0; padding: 0; background-color: #ffffff; font-family: Arial, Helvetica, sans-serif; font-size: 14px; line-height: 1.5; color: #333333; -webkit-text-size-adjust: 100%; -ms-text-size-adjust: 100%; }
table, td { border-collapse: collapse; mso-table-lspace: 0pt; mso-table-rspace: 0pt; }
img { border: 0; height: auto; line-height: 100%; outline: none; text-decoration: none; display: block; }
a { color: #0066cc; text-decoration: underline; }
p { margin: 0 0 10px 0; }
</style>
</head>
<body bgcolor="#FFFFFF" text="#000000" link="#0000FF" vlink="#800080" leftmargin="0" topmargin="0" marginwidth="0" marginheight="0">
<BODY bgColor=#ffffff>
<table width="100%" border="0" cellspacing="0" cellpadding="0" align="center">
<table role="presentation" border="0" cellpadding="0" cellspacing="0" width="600" style="border-collapse:collapse;">
<TABLE cellSpacing=0 cellPadding=0 width="100%" border=0>
<tr>
<td align="center" valign="top" style="padding: 20px 0 20px 0;">
<td align="left" style="font-family: Arial, Helvetica, sans-serif; font-size: 14px; color: #333333;">
<td width="50%" bgcolor="#FFFFFF" height="20">&nbsp;</td>
</tr>
</table>
<TR><TD></TD></TR></TABLE>
<font face="Arial, Helvetica, sans-serif" size="2" color="#000000"><b></b></font>
<font face=3D"Arial" size=3D"2" color=3D"#000000">
<FONT face=Arial size=2></FONT></DIV>
<DIV><FONT face=3DArial size=3D2></FONT>&nbsp;</DIV>
<FONT face="Verdana, Arial, Helvetica, sans-serif" size=2 color=#ff0000>
<p align="center"><strong><span style="font-size: 12pt; font-family: Arial;"></span></strong></p>
<p class="MsoNormal"><o:p>&nbsp;</o:p></p>
<a href="http://www." target="_blank" style="color:#0066cc; text-decoration:none;"></a>
<a href=3D"https://www.=
<A href="http://www.
<img src="http://www. width="1" height="1" border="0" alt="" style="display:block;" />
<IMG src=3D"http://www.
<div style="font-family:Calibri,Arial,Helvetica,sans-serif; font-size:12pt; color:rgb(0,0,0)"><br></div>
<div dir="ltr"><br></div>
<div class="gmail_quote"><blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);padding-left:1ex">
<blockquote type="cite" cite="mid:
<br><br>
<BR>
&nbsp;&nbsp;&nbsp;&nbsp; &amp; &copy; &quot; &#8217; &lt; &gt;
<center><hr width="100%" size="1" noshade></center>
<ul><li></li></ul>
<h1></h1><h2></h2><b><i><u></u></i></b>
<form method="post" action="http://www.
<input type="text" name="email" size="20"> <input type="submit" value="Submit">
</form>
</body>
</html>
</BODY></HTML>
""".strip("\n").split("\n")

HEADERS = """
Authentication-Results: mx.example.com; dkim=pass header.i=@example.com header.s=selector1 header.b=; spf=pass (mx.example.com: domain of bounce@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=bounce@example.com; dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=example.com
ARC-Seal: i=1; a=rsa-sha256; t=1700000000; cv=none; d=google.com; s=arc-20240605; b=
ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=google.com; s=arc-20240605; h=mime-version:subject:message-id:date:from:to:dkim-signature; bh=
ARC-Authentication-Results: i=1; mx.google.com; dkim=pass header.i=@
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=default; t=1700000000; h=from:from:reply-to:subject:subject:date:date:message-id:message-id:to:to:cc:mime-version:mime-version:content-type:content-type:content-transfer-encoding:list-id:list-unsubscribe:list-unsubscribe-post; bh=
 h=From:To:Subject:Date:Message-ID:MIME-Version:Content-Type; b=
Received-SPF: pass (mx.example.com: domain of example.com designates 192.0.2.1 as permitted sender) client-ip=192.0.2.1;
X-Google-DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=1e100.net; s=20230601;
X-Gm-Message-State: AOJu0Y
X-Google-Smtp-Source: AGHT+I
X-Received: by 2002:a05:6000:
X-MS-Exchange-Organization-SCL: 
X-MS-Exchange-CrossTenant-OriginalArrivalTime: 
X-MS-Has-Attach: 
X-MS-TNEF-Correlator: 
X-Originating-IP: [192.0.2.1]
X-OriginalArrivalTime: 01 Jan 2002 10:00:00.0000 (UTC) FILETIME=[
X-Spam-Status: No, score=-1.9 required=5.0 tests=BAYES_00,DKIM_SIGNED,DKIM_VALID,HTML_MESSAGE,RCVD_IN_DNSWL_NONE,SPF_HELO_NONE,SPF_PASS autolearn=ham version=3.4.6
X-Spam-Level: 
X-Spam-Checker-Version: SpamAssassin 3.4.6
X-Virus-Scanned: Debian amavisd-new at 
X-Mailer: Microsoft Outlook Express 6.00.2600.0000
X-Mailer: Microsoft Outlook 16.0
X-Mailer: Apple Mail (2.3774.300.61.1.2)
X-MimeOLE: Produced By Microsoft MimeOLE V6.00.2600.0000
X-MSMail-Priority: Normal
X-Priority: 3 (Normal)
X-Priority: 1
Importance: Normal
Thread-Topic: 
Thread-Index: Ac
Accept-Language: en-US
Content-Language: en-US
User-Agent: Mozilla Thunderbird
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Thunderbird/102.0
User-Agent: Mutt/1.5.21 (2010-09-15)
X-Mailer: Microsoft Outlook Express 5.50.4522.1200
X-MimeOLE: Produced By Microsoft MimeOLE V5.50.4522.1200
X-Mailer: Microsoft Outlook, Build 10.0.2616
X-Mailer: Microsoft Outlook IMO, Build 9.0.2416 (9.0.2910.0)
X-Mailer: QUALCOMM Windows Eudora Version 5.1
X-Mailer: Internet Mail Service (5.5.2653.19)
X-Mailer: Evolution/1.0.8
X-Mailer: Ximian Evolution 1.0.5
X-Mailer: KMail [version 1.3.2]
User-Agent: KMail/1.4.3
User-Agent: Microsoft-Entourage/10.1.0.2006
User-Agent: Mozilla/5.0 (Windows; U; Windows NT 5.0; en-US; rv:1.1) Gecko/20020826
User-Agent: Mutt/1.3.28i
User-Agent: Mutt/1.4i
X-Accept-Language: en-us, en
X-Mailman-Version: 2.0.11
Content-Disposition: inline
Organization: 
X-Operating-System: Linux 
X-Url: http://www.
X-Keywords: 
X-Status: 
Lines: 
X-Message-Flag: 
X-Msmail-Priority: Normal
X-Priority: Normal
X-Originating-Email: [
X-Egroups-Return: 
X-Yahoo-Profile: 
X-Apparently-To: 
List-Subscribe: <http://lists.example.com/listinfo/list>,
    <mailto:list-request@example.com?subject=subscribe>
List-Unsubscribe: <http://lists.example.com/mailman/listinfo/list>,
    <mailto:list-request@lists.example.com?subject=unsubscribe>
List-Id: A mailing list for users <list.example.com>
List-Post: <mailto:list@example.com>
List-Help: <mailto:list-request@example.com?subject=help>
List-Archive: <http://www.example.com/mailman/private/list/>
Errors-To: list-admin@example.com
Sender: list-admin@example.com
_______________________________________________
list mailing list
list@lists.example.com
http://lists.example.com/mailman/listinfo/list
https://lists.example.com/mailman/listinfo/list
-------------------------------------------------------
This sf.net email is sponsored by:
To unsubscribe, e-mail: list-unsubscribe@example.com
For additional commands, e-mail: list-help@example.com
To unsubscribe from this group, send an email to:
Your use of this service is subject to the terms of service at
Do You Yahoo!?
Join the world's largest e-mail service
Version: GnuPG v1.0.7 (GNU/Linux)
Comment: For info see http://www.gnupg.org
Auto-Submitted: auto-generated
Precedence: bulk
Precedence: list
X-Mailman-Version: 2.1.29
X-BeenThere: 
X-Beenthere: 
X-Loop: 
List-Id: <.lists.example.com>
List-Help: <mailto:list-request@lists.example.com?subject=help>
List-Post: <mailto:list@lists.example.com>
List-Subscribe: <https://lists.example.com/mailman/listinfo/list>, <mailto:list-request@lists.example.com?subject=subscribe>
List-Unsubscribe: <https://lists.example.com/mailman/options/list>, <mailto:list-request@lists.example.com?subject=unsubscribe>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
List-Archive: <http://lists.example.com/pipermail/list/>
Feedback-ID: 
Errors-To: list-bounces@lists.example.com
Errors-To: list-admin@
Sender: owner-list@
Sender: "list" <list-bounces@
X-Sender: 
X-Authentication-Warning: 
Mailing-List: contact 
Delivered-To: mailing list 
Return-Path: <bounce-
Return-Path: <
Delivered-To: 
Envelope-To: 
X-Original-To: 
Status: RO
Content-Type: multipart/alternative; boundary="----=_NextPart_000_0000_01C20000.00000000"
Content-Type: multipart/alternative; boundary="000000000000
Content-Type: multipart/mixed; boundary="----=_Part_
Content-Type: multipart/related; type="multipart/alternative"; boundary="_000_
Content-Type: multipart/signed; micalg=pgp-sha1; protocol="application/pgp-signature"; boundary="
Content-Type: multipart/report; report-type=delivery-status; boundary="
Content-Type: text/calendar; charset="utf-8"; method=REQUEST
Content-Type: application/octet-stream; name="
Content-Type: application/pdf; name="
Content-Type: image/jpeg; name="image001.jpg"
Content-Type: image/png; name="
Content-Type: application/pgp-signature
Content-Disposition: attachment; filename="
Content-Disposition: inline
Content-ID: <image001.png@01
Content-Description: 
------=_NextPart_000_0000_
This is a multi-part message in MIME format.
This is a multi-part message in MIME format.

------=_NextPart_
-----BEGIN PGP SIGNATURE-----
-----END PGP SIGNATURE-----
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA1
Final-Recipient: rfc822; 
Original-Recipient: rfc822;
Action: failed
Status: 5.1.1
Remote-MTA: dns; 
Diagnostic-Code: smtp; 550 5.1.1 
Reporting-MTA: dns; 
This is the mail system at host 
I'm sorry to have to inform you that your message could not be delivered to one or more recipients.
BEGIN:VCALENDAR
METHOD:REQUEST
PRODID:
VERSION:2.0
BEGIN:VEVENT
DTSTART;TZID=
DTEND;TZID=
ORGANIZER;CN=
ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=
SUMMARY:
LOCATION:
END:VEVENT
END:VCALENDAR
""".strip("\n").split("\n")

LAST = """
Received: from mail-ed1-f41.google.com (mail-ed1-f41.google.com [209.85.208.41]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)) (No client certificate requested) by
Received: from localhost (localhost [127.0.0.1])
 by localhost with IMAP (fetchmail-6.3.26) for <root@localhost> (single-drop);
 by localhost with POP3 (fetchmail-5.9.0) for root@localhost (single-drop);
Received: from smtp. (unknown [10.0.0.1])
Received: by mail- (Postfix, from userid 1000) id 
Received: (qmail 12345 invoked from network); 
Received: (qmail 12345 invoked by uid 500); 
Received: (from root@localhost) by 
Received: from unknown (HELO mail) (192.168.0.1) by 
Received: from [192.168.1.1] (helo=mail.) by mail. with esmtp (Exim 4.94.2) (envelope-from <
 with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96)
Received: from mail pickup service by hotmail.com with Microsoft SMTPSVC; 
Received: from  by  with Microsoft SMTPSVC(5.0.2195.5329);
Received: from  by  with Internet Mail Service (5.5.2653.19) id 
Received: from DM6PR by  with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.
 (Postfix) with ESMTP id 
 (Postfix) with ESMTPS id 
 (Postfix) with SMTP id 
 (8.11.6/8.11.6) with ESMTP id 
 (8.9.3/8.9.3) with ESMTP id 
 (8.12.1/8.12.1) with SMTP id 
 (8.14.4/8.14.4/Debian-4) with ESMTP id 
MIME-Version: 1.0 (Apple Message framework v
Reply-To: 
In-Reply-To: <
References: <
References: <
    <
Cc: 
Date: Tue, 01 Jan 2002 12:00:00 -0500 (EST)
Date: Wed, 02 Jan 2002 12:00:00 -0700 (PDT)
Date: Thu, 03 Oct 2002 08:00:00 +0200
Date: Fri, 06 Sep 2002 15:00:00 -0400 (EDT)
Date: Sat, 07 Dec 2024 10:30:00 +0000 (UTC)
Date: Sun, 08 Sep 2024 21:15:00 +0200 (CEST)
Mon, 05 Feb 2024 19:45:00 -0800 (PST)
Mon, 05 Aug 2024 09:15:00 +0100 (IST)
Tue, 06 Nov 2001 17:25:00 +0000 (GMT)
Wed, 07 May 2003 06:10:00 +0100 (BST)
From: "
Subject: Re: [
Subject: =?utf-8?Q?
Subject: =?UTF-8?B?
Subject: =?iso-8859-1?Q?
Subject: Fwd: 
Subject: 
Message-Id: <200
Message-ID: <
Message-ID: <CA+
Message-ID: <000001c2
To: undisclosed-recipients:;
To: <
MIME-Version: 1.0
Mime-Version: 1.0
Content-Type: text/html; charset="iso-8859-1"
Content-Type: text/html; charset="utf-8"
Content-Type: text/html; charset=UTF-8
Content-Transfer-Encoding: base64
Content-Transfer-Encoding: quoted-printable
Content-Transfer-Encoding: 8bit
Content-Type: text/plain; charset="utf-8"; format=flowed
Content-Type: text/plain; charset="iso-8859-1"
Content-Type: text/plain; charset="us-ascii"
Content-Type: text/plain; charset=us-ascii
Content-Type: text/plain; charset=utf-8
Content-Type: text/plain; charset="UTF-8"
Content-Transfer-Encoding: 7bit
Received: from mail.example.com ([192.0.2.1])
	by mx.example.org (spoold)
	with ESMTPS id 0
	for <
""".strip("\n").split("\n")

DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
ID = 1  # DICTIONARY_SHIPPED_ID
LETTERS = 400  # made up for the frequencies

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def words(source):
    """Words as they stand in text: in a line, and at the start of one."""
    line = ""
    for n, word in enumerate(source):
        word = word.capitalize() if n % 17 == 0 else word
        if len(line) + len(word) > 70:
            yield line
            line = ""
        line += word + (", " if n % 23 == 0 else ". " if n % 29 == 0 else " ")
    yield line


def text():
    lines = (list(words(MORE)) + list(words(ENGLISH)) + PHRASES + HTML +
             PROSE.strip("\n").split("\n") + HEADERS)
    for n, month in enumerate(MONTHS):
        for zone in ("+0000", "-0700 (PDT)", "+0100", "-0400"):
            lines.append(f"\tfor <>; {DAYS[n % 7]}, {n + 10} {month} 2002"
                         f" {n + 8:02}:00:00 {zone}")
        lines.append(f"; {DAYS[(n + 3) % 7]}, 0{n % 9 + 1} {month} 2024"
                     f" 1{n % 10}:30:00 +0100 (CET)")
    return "\r\n".join(lines + LAST).encode()


class Letters:
    """Letters nobody wrote, each time the same ones."""

    # How often each letter of the alphabet is in English, of 1,250.
    OFTEN = dict(zip("etaoinshrdlcumwfgypbvkjxqz", (
        127, 91, 82, 75, 70, 67, 63, 61, 60, 43, 40, 28, 28, 24, 24, 22, 20,
        20, 19, 15, 10, 8, 2, 2, 1, 1)))
    PROSE = PROSE.split()

    def __init__(self):
        self.random = random.Random(1)

    def number(self, low, high):
        return self.random.randrange(low, high)

    def one(self, *of):
        return self.random.choice(of)

    def name(self):
        return "".join(self.random.choices(
            list(self.OFTEN), list(self.OFTEN.values()), k=self.number(2, 10)))

    def code(self, length, of=string.ascii_letters + string.digits):
        return "".join(self.random.choices(of, k=length))

    def host(self):
        return "%s.%s.%s" % (
            self.one("mail", "mx", "smtp", "www", "list", self.name()),
            self.name(), self.one("com", "net", "org", "edu", "de", "co.uk"))

    def address(self):
        between = self.one("", ".", "_", str(self.number(0, 99)))
        return self.name() + between + self.name() + "@" + self.host()

    def date(self):
        return "%s, %02d %s %d %02d:%02d:%02d %s" % (
            self.random.choice(DAYS), self.number(1, 29),
            self.random.choice(MONTHS), self.one(2002, 2003, 2024),
            self.number(0, 24), self.number(0, 60), self.number(0, 60),
            self.one("+0000", "-0700 (PDT)", "+0100", "-0400"))

    def received(self):
        address = ".".join(str(self.number(1, 255)) for _ in range(4))
        return ("Received: from %s (%s [%s])\r\n\tby %s (%s) with %s id %s"
                "\r\n\tfor <%s>; %s\r\n") % (
            self.host(), self.host(), address, self.host(),
            self.one("Postfix", "8.11.6/8.11.6", "8.12.1/8.12.1",
                     "Exim 4.96"),
            self.one("ESMTP", "SMTP", "ESMTPS"),
            self.code(10, "0123456789ABCDEF"), self.address(), self.date())

    def head(self):
        fields = [line for line in HEADERS[:110] if ": " in line]
        return "".join(
            [self.received() for _ in range(self.number(2, 6))] +
            [f"From: {self.name().title()} {self.name().title()}"
             f" <{self.address()}>\r\nTo: {self.address()}\r\n"
             f"Subject: {self.sentence()[:40]}\r\nDate: {self.date()}\r\n"
             f"Message-Id: <{self.code(20)}@{self.host()}>\r\n"] +
            [field + self.name() + "\r\n"
             for field in self.random.sample(fields, 4)] +
            ["MIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=us-ascii\r\n\r\n"])

    def some_words(self):
        """As they come: parts of sentences, common ones, and others."""
        kind = self.random.random()
        if kind < 0.3:
            start = self.number(0, len(self.PROSE) - 2)
            return self.PROSE[start:start + self.number(1, 3)]
        if kind < 0.6:
            return [self.random.choice(ENGLISH)]
        if kind < 0.95:
            return [self.name()]
        return [self.one(self.name().title(), str(self.number(0, 3000)),
                         f"http://{self.host()}/{self.name()}")]

    def sentence(self):
        some = []
        for _ in range(self.number(4, 16)):
            some += self.some_words()
        return (" ".join(some).capitalize() +
                self.one(". ", ". ", "? ", "! ", ", "))

    def paragraph(self):
        start = self.one("", "", "> ")
        lines, line = [], start
        for word in "".join(self.sentence()
                            for _ in range(self.number(1, 6))).split():
            if len(line) + len(word) > 72:
                lines.append(line)
                line = start
            line += word + " "
        return "\r\n".join(lines + [line, "", ""])

    def html(self):
        lines = []
        for _ in range(self.number(20, 60)):
            tag = "".join(self.code(1, string.digits) if c.isdigit() else c
                          for c in self.random.choice(HTML))
            lines.append(tag + self.one("", self.sentence()))
            lines.append(self.one("", "", (
                f'<a href="http://{self.host()}/{self.name()}/{self.name()}'
                f'.html?id={self.code(8)}">{self.name()}</a>')))
        return "\r\n".join(lines)

    def letter(self):
        body = (self.html() if self.random.random() < 0.3 else
                "".join(self.paragraph() for _ in range(self.number(2, 9))))
        return (self.head() + body).encode()


class Params(ctypes.Structure):
    _fields_ = [("level", ctypes.c_int), ("notify", ctypes.c_uint),
                ("id", ctypes.c_uint)]


def dictionary(content, samples):
    """The content behind the head zstd needs (ZDICT_finalizeDictionary)."""
    lib = ctypes.CDLL(ctypes.util.find_library("zstd"))
    make = lib.ZDICT_finalizeDictionary
    make.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(len(content) + 4096)
    size = make(out, ctypes.c_size_t(len(out)), content,
                ctypes.c_size_t(len(content)), b"".join(samples),
                (ctypes.c_size_t * len(samples))(*map(len, samples)),
                ctypes.c_uint(len(samples)), Params(3, 0, ID))
    return out.raw[:size]


def main():
    letters = Letters()
    sys.stdout.buffer.write(dictionary(
        text(), [letters.letter() for _ in range(LETTERS)]))


if __name__ == "__main__":
    main()
